//go:build !linux

package reactor

import (
	"errors"
	"net"
	"testing"
)

func TestElsewhereIsUnsupported(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := new(Server).Serve(l); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Serve: %v", err)
	}
	if _, err := new(Server).Adopt(nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Adopt: %v", err)
	}
}
