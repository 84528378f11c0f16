package websocket

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/handfast/handfast/websocket/protocol"
)

// The functions in this file determine how connections end. All drivers share them, so that they report the same errors.

// reasonSlow is the close frame's reason for a peer whose queue is full.
const reasonSlow = "reads too slowly"

// violation returns the CloseError of a connection whose peer broke a rule.
func violation(v *protocol.Violation) *CloseError {
	return &CloseError{Code: Code(v.Code), ByPeer: true, Err: v}
}

// readFailure returns the CloseError of a connection after a read failed with err. begun is the CloseError that the connection was
// about to end with, or nil if it was open. werr is the error of an earlier write, or nil. where is the position in the peer's
// frames at which the stream ended.
func readFailure(begun *CloseError, werr error, where string, err error) *CloseError {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	switch {
	case begun != nil:
		return begun.withCause(&protocol.Broken{Closing: true, Err: err})
	case werr != nil:
		err = werr
	default:
		err = &protocol.Broken{Where: where, Err: err}
	}
	return &CloseError{Code: CodeAbnormal, ByPeer: true, Err: err}
}

// withCause returns a copy of e with the cause err, or e itself if err is nil or e has a cause.
func (e *CloseError) withCause(err error) *CloseError {
	if err == nil || e.Err != nil {
		return e
	}
	clone := *e
	clone.Err = err
	return &clone
}

// incomplete returns e with the reason why the closing handshake is not complete: werr if a write failed; otherwise, if unsent is
// set, that our close frame could not be sent within the timeout; otherwise that the peer has not replied to it.
func (e *CloseError) incomplete(werr error, unsent bool, timeout time.Duration) *CloseError {
	switch {
	case werr != nil:
		return e.withCause(werr)
	case unsent:
		return e.withCause(fmt.Errorf("the close frame could not be sent within %v", timeout))
	}
	return e.withCause(fmt.Errorf("the peer did not answer the close frame within %v", timeout))
}

func errCloseCode(code Code, err error) error {
	return fmt.Errorf("websocket: close code %d: %w (RFC 6455 §7.4)", code, err)
}

// closeFor returns the code and reason with which to close a connection after an error of the application, and the cause to report.
func closeFor(err error) (code Code, reason string, cause error) {
	e, ok := errors.AsType[*CloseError](err)
	if !ok {
		return CodeInternalError, "", err
	}
	if e == err { //nolint:errorlint // an error that wraps e adds text of its own, so only e itself is replaced by its cause
		err = e.Err
	}
	return e.Code, e.Reason, err
}
