package config

// Centrifugo speaks the client protocol of Centrifugo, version 2, with its fallbacks over HTTP at /connection/http_stream,
// /connection/sse and /emulation, and answers its server API at /api/{method}. The secret of the application signs the tokens of
// clients and is the key of the API. The rules of the endpoint decide about actions that a token does not allow.
type Centrifugo struct {
	// The application of the channels, one of apps. Empty means the first one.
	App string `yaml:"app" example:"shop"`

	// Whether to admit clients that neither a method of the endpoint nor a token has authenticated.
	Anonymous bool `yaml:"anonymous"`

	// How many commands a connection may send per second on average; further ones are answered with error 111.
	CommandsPerSecond int `yaml:"commands_per_second" default:"5000" min:"1"`

	// The HTTP service that answers the calls of clients (RPC). Empty means that calls are answered with error 108.
	RPC RPC `yaml:"rpc"`
}

// RPC is an HTTP service that answers the calls of clients.
type RPC struct {
	// The URL for calls, in the form of the RPC proxy of Centrifugo. Empty means no calls.
	URL string `yaml:"url" example:"https://shop.example.com/rpc"`

	// The certificate authority of an https url, if it is not a public one: a PEM file.
	CA Path `yaml:"ca"`

	// The secret that signs the requests. Empty means the secret of the application.
	Secret Secret `yaml:"secret"`

	// The time limit for one call. After five failures in a row, all calls fail for five seconds without a request.
	Timeout Duration `yaml:"timeout" default:"1s" min:"10ms" max:"9s"`
}

// rpc checks the URL for calls.
func (k *checker) rpc(r *RPC, path string) {
	if r.URL != "" {
		k.receiver(r.URL, path+".url")
	}
}

func (c *Centrifugo) app() *string { return &c.App }

func init() { registerTarget[Centrifugo]("centrifugo") }
