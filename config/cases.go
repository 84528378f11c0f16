package config

import (
	"fmt"

	"github.com/handfast/handfast/config/internal/tree"
)

// Case is a request to the rules of an endpoint with the expected decision: one test of "handfast config test".
type Case struct {
	// The subject of the test.
	Name string `yaml:"name"`

	// The name of the endpoint. Empty means the only endpoint.
	Endpoint string `yaml:"endpoint"`

	// The subject of the identity. Empty means a client without a credential.
	User string `yaml:"user"`

	// The method that has authenticated the client: jwt, apikey, basic, ticket, certificate, forward, signin.
	Method string `yaml:"method"`

	// The other claims of the credential.
	Claims map[string]any `yaml:"claims"`

	// The action that the client wants to take.
	Do string `yaml:"do" default:"connect" enum:"connect|subscribe|publish"`

	// The channel of the action.
	Channel string `yaml:"channel"`

	// The expected decision.
	Expect string `yaml:"expect" required:"true" enum:"allow|deny"`

	Pos Pos // the beginning of the case in its file
}

// ParseCases parses a YAML list of cases, as strictly as a configuration. The error is an [*Error].
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
		t.Wrong("", "the file contains no cases", "a list of cases")
	}
	return cases, t.Err()
}
