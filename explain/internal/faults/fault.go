// Package faults provides test servers on the loopback interface. Each has exactly one fault that [explain.Explain] detects; a few have
// none.
package faults

import (
	"context"
	"net/http"
	"net/url"

	"github.com/handfast/handfast/explain"
)

// Fault describes a server with one fault. A fault that servers cause in several ways has several entries.
type Fault struct {
	// ID is the fault that Explain must report; "" for a server without a fault.
	ID explain.Fault
	// Name describes what the server does; it is unique.
	Name string
	// Family is the stage to which the fault belongs; "" for a server without a fault.
	Family string
	// Warning means that the connection opens despite the fault.
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
		s.Options.Proxy = noProxy // the environment of the test must not matter
	}
	if s.Options.Timeout == 0 {
		s.Options.Timeout = 3 * serverTimeout // long, because a busy machine may delay even a server that responds
	}
	if s.Options.StepTimeout == 0 {
		s.Options.StepTimeout = serverTimeout
	}
	return s, nil
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil } // for http.Transport.Proxy, a nil URL means no proxy

// Site is a running server, with the URL and options for a client that is to encounter the fault.
type Site struct {
	URL     string
	Options explain.Options
	// Context is the context for the client; if nil, the client may use any.
	Context context.Context

	lab *lab
}

// Close closes the server and its connections and waits for its goroutines.
func (s *Site) Close() { s.lab.close() }

// Healthy returns the servers without a fault.
func Healthy() []Fault { return healthySites }

// All returns the servers with a fault, in the order of [explain.Faults].
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
