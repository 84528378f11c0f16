package config

// Centrifugo speaks the client protocol of Centrifugo, version 2, with its fallbacks over HTTP at /connection/http_stream,
// /connection/sse and /emulation, and answers its server API at /api/{method}. The secret of the application signs the tokens of
// clients and is the key of the API. What a token does not allow, the rules of the endpoint say.
type Centrifugo struct {
	// The application whose channels these are, one of apps. Empty: the first one.
	App string `yaml:"app" example:"shop"`

	// Admit clients that neither the methods of the endpoint nor a token have authenticated.
	Anonymous bool `yaml:"anonymous"`

	// How many commands a connection may send in a second, on average; further ones are answered with error 111.
	CommandsPerSecond int `yaml:"commands_per_second" default:"5000" min:"1"`
}

func (c *Centrifugo) app() *string { return &c.App }

func init() { registerTarget[Centrifugo]("centrifugo") }
