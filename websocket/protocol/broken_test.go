package protocol

import (
	"errors"
	"testing"
)

func TestBroken(t *testing.T) {
	why := errors.New("reset")
	for want, b := range map[string]Broken{
		"the stream ended between messages, without a close frame: reset":    {},
		"the stream ended inside a ping frame, without a close frame: reset": {Where: "inside a ping frame"},
		"the stream ended without an answer to the close frame: reset":       {Where: "inside a ping frame", Closing: true},
	} {
		b.Err = why
		if got := b.Error(); got != want || !errors.Is(&b, why) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
