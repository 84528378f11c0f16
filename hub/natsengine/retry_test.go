package natsengine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/nats-io/nats.go"
)

// A request that could not be sent because the connection was lost is repeated, whichever part of the client noticed the loss.
func TestSendErrorsOfLostConnections(t *testing.T) {
	for _, err := range []error{
		nats.ErrConnectionReconnecting,
		fmt.Errorf("publish: %w", nats.ErrConnectionClosed),
		&net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed},
		fmt.Errorf("tls: %w", &net.OpError{Op: "write", Net: "tcp", Err: os.ErrDeadlineExceeded}),
	} {
		if got := sendError(err); !errors.Is(got, errDisconnected) || !temporary(got) {
			t.Errorf("%v: got %v", err, got)
		}
	}
	for _, err := range []error{nats.ErrMaxPayload, context.DeadlineExceeded} {
		if got := sendError(err); got != err { //nolint:errorlint // sendError must return these errors unwrapped
			t.Errorf("%v: got %v", err, got)
		}
	}
}
