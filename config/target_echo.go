package config

// Echo returns every message unchanged.
type Echo struct{}

func init() { registerTarget[Echo]("echo") }
