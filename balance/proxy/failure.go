package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

// Stage is a step of [Dialer.Open], or of an ordinary HTTP request.
type Stage string

// The stages, in order.
const (
	StageRequest   Stage = "request"   // the client's request cannot be passed on
	StageConnect   Stage = "connect"   // connecting to the upstream's address
	StageTLS       Stage = "tls"       // the TLS handshake
	StageHandshake Stage = "handshake" // the request was not sent, or the response was not complete in time
	StageAnswer    Stage = "answer"    // the response is not that of a WebSocket server
	StageResponse  Stage = "response"  // an ordinary HTTP request got no response, or not a complete one in time
)

// Failure is the failure of an upstream at a stage. Its text contains no credential of the client or the upstream.
type Failure struct {
	Upstream string // scheme and address
	Stage    Stage  // where it failed
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

// Status returns the status for the client: 400 if its own request is at fault, 504 if the upstream was too slow, 503 if it was not
// reached, otherwise 502.
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

// Refused is a response of the upstream with a status of 300 or more.
type Refused struct {
	Upstream string      // scheme and address
	Status   int         // 300 to 999
	Reason   string      // the reason phrase; may be ""
	Header   http.Header // the fields for the client
	Body     []byte      // 64 KiB at most
	Cut      bool        // the body was too long, or not complete in time
}

// Error names the upstream and the status.
func (r *Refused) Error() string {
	return fmt.Sprintf("upstream %s answered with %d %s", r.Upstream, r.Status, http.StatusText(r.Status))
}

// dialError wraps err as package net does for a connection that cannot be made.
func (d *Dialer) dialError(err error) error {
	return &net.OpError{Op: "dial", Net: d.network, Addr: net.TCPAddrFromAddrPort(d.at), Err: err}
}

// failure returns a Failure. If ctx has ended, its error is the reason.
func (d *Dialer) failure(ctx context.Context, stage Stage, err error) *Failure {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return &Failure{Upstream: d.upstream, Stage: stage, Err: err}
}
