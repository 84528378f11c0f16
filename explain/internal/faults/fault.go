// Package faults holds servers on the loopback interface, each of which commits exactly one fault that [explain.Explain]
// knows, and a few that commit none. Tests run against them; nothing else is meant to.
package faults

import (
	"context"
	"net/http"
	"net/url"

	"github.com/handfast/handfast/explain"
)

// Fault is a mistake and a server that makes it. A mistake that servers make in several ways has as many entries.
type Fault struct {
	// ID is the fault that must be diagnosed; "" when nothing is wrong with it.
	ID explain.Fault
	// Name says what the server does; it is unique.
	Name string
	// Family is the part of the way to which it belongs; "" when nothing is wrong with it.
	Family string
	// Warning says that the connection opens all the same.
	Warning bool

	start func(*lab) (*Site, error)
}

// Start starts the server. The caller closes the Site.
func (f Fault) Start() (*Site, error) {
	l := newLab()
	s, err := f.start(l)
	if err != nil {
		l.close()
		return nil, err
	}
	s.lab = l
	if s.Options.Proxy == nil {
		s.Options.Proxy = noProxy // whatever this machine's environment says
	}
	if s.Options.Timeout == 0 {
		s.Options.Timeout = 3 * patience // what answers does so soon, except on a machine that is busy
	}
	if s.Options.StepTimeout == 0 {
		s.Options.StepTimeout = patience
	}
	return s, nil
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // as http.Transport.Proxy has it

// Site is a server that runs, and how a client runs into its fault.
type Site struct {
	URL     string
	Options explain.Options
	// Context is what the client shall run with; nil is its own.
	Context context.Context

	lab *lab
}

// Close ends the server, its connections and its goroutines.
func (s *Site) Close() { s.lab.close() }

// Healthy are the servers without a fault.
func Healthy() []Fault { return healthySites }

// All are the servers with a fault, in the order of [explain.Faults].
func All() []Fault {
	var all []Fault
	for _, part := range []struct {
		family string
		faults []Fault
	}{
		{"network", networkFaults},
		{"tls", tlsFaults},
		{"silence", silenceFaults},
		{"status", statusFaults},
		{"switching", switchingFaults},
		{"open", openFaults},
	} {
		for _, f := range part.faults {
			f.Family = part.family
			all = append(all, f)
		}
	}
	return all
}
