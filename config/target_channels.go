package config

// Channels lets clients subscribe and publish, with the protocol handfast.v1.json. The rules of the endpoint decide what a client
// may do in which channel: an action that no rule allows is denied.
type Channels struct {
	// The application of the channels, one of apps. Endpoints with the same application share channels. Empty means the first one.
	App string `yaml:"app" example:"shop"`

	// How many commands a connection may send per second on average; further ones are answered with too_fast.
	CommandsPerSecond int `yaml:"commands_per_second" default:"5000" min:"1"`
}

func (c *Channels) app() *string { return &c.App }

func init() { registerTarget[Channels]("channels") }
