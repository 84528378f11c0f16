package config

import (
	"fmt"
	"reflect"
)

// Case is a question to the rules of an endpoint and the answer that they should give: one test of "handfast config test".
type Case struct {
	// What it is about.
	Name string `yaml:"name"`

	// The endpoint's name. Empty: the only one that there is.
	Endpoint string `yaml:"endpoint"`

	// The identity's subject. Empty: a client without a credential.
	User string `yaml:"user"`

	// How it was found out who the client is: jwt, apikey, basic, ticket, certificate, forward.
	Method string `yaml:"method"`

	// What the credential says besides.
	Claims map[string]any `yaml:"claims"`

	// What the client wants to do.
	Do string `yaml:"do" default:"connect" enum:"connect|subscribe|publish"`

	// The channel that it is about.
	Channel string `yaml:"channel"`

	// The decision that is right.
	Expect string `yaml:"expect" required:"true" enum:"allow|deny"`

	Pos Pos // where it begins in its file
}

// ParseCases reads a YAML list of cases, as strictly as a configuration is read. The error is an [*Error].
func ParseCases(name string, document []byte) ([]Case, error) {
	l := newLoader()
	body, p := parse(document, name)
	if p != nil {
		return nil, &Error{[]*Problem{p}}
	}
	var cases []Case
	if body != nil {
		newDecoder(l, name, document).decode(reflect.ValueOf(&cases).Elem(), body, "")
	}
	k := &checker{l: l, c: &Config{source: l.src}}
	for i := range cases {
		path := fmt.Sprintf("[%d]", i)
		k.tags(reflect.ValueOf(&cases[i]).Elem(), path)
		cases[i].Pos = l.src.pos[path]
	}
	if len(cases) == 0 && len(l.problems) == 0 {
		l.problem(&Problem{Pos: Pos{name, 1, 1}, Text: "there is no case in it", Want: "a list"})
	}
	return cases, NewError(l.problems)
}
