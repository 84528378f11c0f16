package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

// Stage is a step of [Dialer.Open], or of a request that is not a handshake.
type Stage string

// The stages, in their order.
const (
	StageRequest   Stage = "request"   // the client's request cannot be passed on
	StageConnect   Stage = "connect"   // to the upstream's address
	StageTLS       Stage = "tls"       // the TLS handshake with it
	StageHandshake Stage = "handshake" // the request did not reach it, or the answer was not complete in time
	StageAnswer    Stage = "answer"    // the answer is not one of a WebSocket server
	StageResponse  Stage = "response"  // to a request that is not a handshake: there is none, not in time or not a whole one
)

// Failure says which upstream failed at what. Its text holds no credential of the client or the upstream.
type Failure struct {
	Upstream string // scheme and address
	Stage    Stage  // at which it failed
	Err      error  // never nil
}

// Error names the upstream, the stage and the reason.
func (f *Failure) Error() string {
	return fmt.Sprintf("upstream %s: %s: %v", f.Upstream, f.Stage, f.Err)
}

// Unwrap returns f.Err.
func (f *Failure) Unwrap() error { return f.Err }

// Timeout reports whether the upstream was too slow.
func (f *Failure) Timeout() bool {
	e, ok := errors.AsType[net.Error](f.Err)
	return errors.Is(f.Err, context.DeadlineExceeded) || errors.Is(f.Err, os.ErrDeadlineExceeded) || ok && e.Timeout()
}

// Status returns the status to answer the client with: 400 for its own request, 504 when the upstream was too slow, 503 when it
// was not reached, otherwise 502.
func (f *Failure) Status() int {
	switch {
	case f.Stage == StageRequest:
		return http.StatusBadRequest
	case f.Timeout():
		return http.StatusGatewayTimeout
	case f.Stage == StageConnect:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}

// Refused is an upstream's own answer, with a status from 300 on.
type Refused struct {
	Upstream string      // scheme and address
	Status   int         // 300 to 999
	Reason   string      // of the status line; may be ""
	Header   http.Header // the fields that are for the client
	Body     []byte      // 64 KiB at most
	Cut      bool        // the body was longer, or not complete in time
}

// Error names the upstream and the status.
func (r *Refused) Error() string {
	return fmt.Sprintf("upstream %s: answered with %d %s", r.Upstream, r.Status, http.StatusText(r.Status))
}

// dialError returns an error as package net returns it for a connection that cannot be made.
func (d *Dialer) dialError(err error) error {
	return &net.OpError{Op: "dial", Net: d.network, Addr: net.TCPAddrFromAddrPort(d.at), Err: err}
}

// failure returns a Failure. When ctx has ended that is why.
func (d *Dialer) failure(ctx context.Context, stage Stage, err error) *Failure {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &Failure{Upstream: d.upstream, Stage: stage, Err: err}
}
