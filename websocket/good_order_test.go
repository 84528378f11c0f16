package websocket

import (
	"io"
	"testing"
)

func TestInGoodOrder(t *testing.T) {
	for _, c := range []struct {
		e    CloseError
		want bool
	}{
		{CloseError{Code: CodeNormal}, true},
		{CloseError{Code: CodeGoingAway, By: Remote}, true},
		{CloseError{Code: CodeNoStatus}, false},
		{CloseError{Code: CodeTooBig, By: Remote}, false},
		{CloseError{Code: CodeNormal, Err: io.ErrUnexpectedEOF}, false},
	} {
		if got := c.e.InGoodOrder(); got != c.want {
			t.Errorf("%v: %v", &c.e, got)
		}
	}
}
