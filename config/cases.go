package config

import (
	"fmt"

	"github.com/handfast/handfast/config/internal/tree"
)

// Case is a question to the rules of an endpoint and the answer that they should give: one test of "handfast config test".
type Case struct {
	// What it is about.
	Name string `yaml:"name"`

	// The endpoint's name. Empty: the only one that there is.
	Endpoint string `yaml:"endpoint"`

	// The identity's subject. Empty: a client without a credential.
	User string `yaml:"user"`

	// How it was found out who the client is: jwt, apikey, basic, ticket, certificate, forward, signin.
	Method string `yaml:"method"`

	// The other claims of the credential.
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
	var cases []Case
	t := tree.New(&cases)
	if err := t.Document(name, document); err != nil {
		return nil, NewError([]*Problem{err})
	}
	t.Check()
	for i := range cases {
		cases[i].Pos = t.Pos(fmt.Sprintf("[%d]", i))
	}
	if len(cases) == 0 {
		t.Wrong("", "it contains no case", "a list")
	}
	return cases, t.Err()
}
