package websocket

import (
	"errors"
	"net/http"
)

// AcceptOptions, Reject: see the design.
type AcceptOptions struct {
	Origins      []string
	AnyOrigin    bool
	Subprotocols []string
	Check        func(*http.Request) error
	Header       http.Header
	Conn         ConnOptions
}

// Reject is an error of a Check hook that picks the reply.
type Reject struct {
	Status int
	Header http.Header
	Reason string
}

func (r *Reject) Error() string { return r.Reason }

// Handshake is what the opening handshake agreed on.
type Handshake struct {
	Subprotocol string
}

// Accept is a stub.
func Accept(w http.ResponseWriter, r *http.Request, opts *AcceptOptions) (*Conn, error) {
	return nil, errors.New("websocket: not built yet")
}
