package config

import "strings"

// Streams serves Durable Streams over plain HTTP. Each stream is a channel of the application. The path of the endpoint ends in a slash;
// the rest of a request's path is the name of the channel. A client may create a stream and append to it if the rules of the endpoint allow
// publish, read the stored messages if they allow history, wait for more if they allow subscribe, and delete the stream if they allow
// delete.
type Streams struct {
	// The application of the channels, one of apps. Empty means the first one.
	App string `yaml:"app" example:"shop"`

	// How many messages a stream keeps.
	History int `yaml:"history" default:"100000" min:"1" max:"10000000"`

	// The largest body of an append; a larger one is answered with 413.
	MaxBody Bytes `yaml:"max_body" default:"8MiB" min:"1" max:"1GiB"`

	// How long a long poll waits for messages.
	LongPoll Duration `yaml:"long_poll" default:"4s" min:"100ms" max:"5m"`

	// The duration of a response of server-sent events, after which the client reconnects.
	Events Duration `yaml:"events" default:"60s" min:"100ms" max:"10m"`

	// How many requests may wait for messages; further ones are answered with 503.
	MaxLive int `yaml:"max_live" default:"10000" min:"1"`
}

func (s *Streams) app() *string { return &s.App }

// check checks the path of an endpoint with streams.
func (*Streams) check(k *checker, e *Endpoint, path string) {
	if !strings.HasSuffix(e.Path, "/") || strings.Contains(e.Path, "{") {
		k.tree.Wrong(path+".path", "the names of streams are appended to the path", "a path without parts in braces that ends in a slash, such as /streams/")
	}
}

func init() { registerTarget[Streams]("streams") }
