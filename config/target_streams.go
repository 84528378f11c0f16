package config

import "strings"

// Streams serves Durable Streams over the same channels, by plain HTTP: below the path of the endpoint, which ends in a slash, the
// rest of a path is the name of a channel. A client creates a stream and appends to it if the rules of the endpoint allow publish,
// reads what is there if they allow history, waits for more if they allow subscribe, and deletes it if they allow delete.
type Streams struct {
	// The application whose channels these are, one of apps. Empty: the first one.
	App string `yaml:"app" example:"shop"`

	// How many messages a stream keeps.
	History int `yaml:"history" default:"100000" min:"1" max:"10000000"`

	// The most that one request may append; more is answered with 413.
	MaxBody Bytes `yaml:"max_body" default:"8MiB" min:"1" max:"1GiB"`

	// How long a long poll waits for messages.
	LongPoll Duration `yaml:"long_poll" default:"4s" min:"100ms" max:"5m"`

	// How long an answer of server-sent events lasts; then the client comes back.
	Events Duration `yaml:"events" default:"60s" min:"100ms" max:"10m"`

	// How many requests may wait for messages; further ones are answered with 503.
	MaxLive int `yaml:"max_live" default:"10000" min:"1"`
}

func (s *Streams) app() *string { return &s.App }

// check checks the path of an endpoint with streams.
func (*Streams) check(k *checker, e *Endpoint, path string) {
	if !strings.HasSuffix(e.Path, "/") || strings.Contains(e.Path, "{") {
		k.Wrong(path+".path", "the names of streams follow the path", "a path without parts in braces that ends in a slash, such as /streams/")
	}
}

func init() { registerTarget[Streams]("streams") }
