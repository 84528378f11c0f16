package config

// Channels lets clients subscribe and publish, with the protocol handfast.v1.json. What a client may do to which channel, the
// rules of the endpoint say: without one that allows an action it is denied.
type Channels struct {
	// The application whose channels these are, one of apps. Endpoints with the same application have the same channels.
	// Empty: the first one.
	App string `yaml:"app" example:"shop"`

	// How many commands a connection may send in a second, on average; further ones are answered with too_fast.
	CommandsPerSecond int `yaml:"commands_per_second" default:"5000" min:"1"`
}

func (c *Channels) app() *string { return &c.App }

func init() { registerTarget[Channels]("channels") }
