//go:build !linux

package loop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
)

// errUnsupported reports that this system has no event loop.
var errUnsupported = fmt.Errorf("loop: no event loop on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// NewKernel returns an error, because this system has no event loop.
func NewKernel() (Kernel, error) { return nil, errUnsupported }

func listenerFD(net.Listener) (int, error) { return 0, errUnsupported }

func takeFD(net.Conn) (int, error) { return 0, errUnsupported }

func dialFD(netip.AddrPort, net.KeepAliveConfig) (int, error) { return 0, errUnsupported }
