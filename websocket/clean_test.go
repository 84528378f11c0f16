package websocket

import (
	"io"
	"testing"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		e    CloseError
		want bool
	}{
		{CloseError{Code: CodeNormal}, true},
		{CloseError{Code: CodeGoingAway, ByPeer: true}, true},
		{CloseError{Code: CodeNoStatus}, false},
		{CloseError{Code: CodeTooBig, ByPeer: true}, false},
		{CloseError{Code: CodeNormal, Err: io.ErrUnexpectedEOF}, false},
	} {
		if got := c.e.Clean(); got != c.want {
			t.Errorf("%v: %v", &c.e, got)
		}
	}
}
