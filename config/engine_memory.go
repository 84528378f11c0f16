package config

// MemoryEngine is for a single node. The state of channels is lost when the process exits.
type MemoryEngine struct{}

func init() { registerEngine[MemoryEngine]("memory") }
