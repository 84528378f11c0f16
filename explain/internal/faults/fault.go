// Package faults contains servers on the loopback interface, each of which has exactly one fault that [explain.Explain] knows, and
// a few without a fault. It is only for tests.
package faults

import (
	"context"
	"net/http"
	"net/url"

	"github.com/handfast/handfast/explain"
)

// Fault is a mistake and a server that makes it. A mistake that servers make in several ways has several entries.
type Fault struct {
	// ID is the fault to be diagnosed; "" if the server has none.
	ID explain.Fault
	// Name describes what the server does; it is unique.
	Name string
	// Family is the stage that the fault belongs to; "" if the server has none.
	Family string
	// Warning means that the connection opens nevertheless.
	Warning bool

	start func(*lab) (*Site, error)
}

// Start starts the server. The caller must close the Site.
func (f Fault) Start() (*Site, error) {
	l := newLab()
	s, err := f.start(l)
	if err != nil {
		l.close()
		return nil, err
	}
	s.lab = l
	if s.Options.Proxy == nil {
		s.Options.Proxy = noProxy // independent of this machine's environment
	}
	if s.Options.Timeout == 0 {
		s.Options.Timeout = 3 * serverTimeout // a server that responds does so soon, except on a busy machine
	}
	if s.Options.StepTimeout == 0 {
		s.Options.StepTimeout = serverTimeout
	}
	return s, nil
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // as http.Transport.Proxy has it

// Site is a running server, with the URL and options with which a client meets its fault.
type Site struct {
	URL     string
	Options explain.Options
	// Context is the context for the client; nil means any.
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
