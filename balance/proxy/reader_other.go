//go:build !unix

package proxy

import (
	"errors"
	"net"
)

// readiness is not available on this system.
type readiness struct{}

func newReadiness(net.Conn) *readiness { return nil }

func (*readiness) read() (*[bufferSize]byte, int, error) { return nil, 0, errors.ErrUnsupported }
