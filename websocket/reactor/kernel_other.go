//go:build !linux

package reactor

import (
	"errors"
	"fmt"
	"net"
	"runtime"
)

// errUnsupported says where the event loop is missing.
var errUnsupported = fmt.Errorf("reactor: no event loop on %s: use websocket.Accept: %w", runtime.GOOS, errors.ErrUnsupported)

func newKernel() (kernel, error) { return nil, errUnsupported }

func listenerFD(net.Listener) (int, error) { return 0, errUnsupported }

func drives(net.Conn) error { return errUnsupported }

func takeFD(net.Conn) (int, error) { return 0, errUnsupported }

func outOfDescriptors(error) bool { return false }
