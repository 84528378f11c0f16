package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
)

// DialOptions is a stub.
type DialOptions struct {
	Header       http.Header
	Subprotocols []string
	TLS          *tls.Config
	Conn         ConnOptions
}

// Dial is a stub.
func Dial(ctx context.Context, url string, opts *DialOptions) (*Conn, error) {
	return nil, errors.New("websocket: not built yet")
}
