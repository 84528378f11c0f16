package config

// MemoryEngine is for one node. What channels keep is lost when the process ends.
type MemoryEngine struct{}

func init() { registerEngine[MemoryEngine]("memory") }
