package nextstep_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// Every error with a field for the next step has the method.
func TestOf(t *testing.T) {
	for _, err := range []error{
		&certs.Error{Path: "x.pem", Err: errors.New("is empty"), Hint: "fill it"},
		&config.Problem{Text: "is empty", Hint: "fill it"},
		&config.Error{Problems: []*config.Problem{{Text: "is empty", Hint: "fill it"}}},
		&gateway.ListenError{Addr: ":1", Err: errors.New("is empty"), Hint: "fill it"},
		&handshake.Violation{Detail: "is empty", Hint: "fill it"},
		&websocket.HandshakeError{Err: errors.New("is empty"), Hint: "fill it"},
	} {
		if got := nextstep.Of(fmt.Errorf("while opening: %w", err)); got != "fill it" {
			t.Errorf("%T: %q", err, got)
		}
	}
	if got := nextstep.Of(errors.New("is empty")); got != "" {
		t.Errorf("an error without a next step: %q", got)
	}
}
