package config

// Echo returns every message as it was.
type Echo struct{}

func init() { registerTarget[Echo]("echo") }
