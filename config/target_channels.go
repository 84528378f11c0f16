package config

// Channels lets clients subscribe and publish, with the protocol handfast.v1.json. What a client may do to which channel, the
// rules of the endpoint say: without one that allows an action it is denied.
type Channels struct {
	// The application whose channels these are. Endpoints with the same application have the same channels.
	App string `yaml:"app" default:"dev" example:"dev"`

	// How many commands a connection may send in a second, on average; further ones are answered with too_fast.
	CommandsPerSecond int `yaml:"commands_per_second" default:"5000" min:"1"`
}

func init() { registerTarget[Channels]("channels") }
