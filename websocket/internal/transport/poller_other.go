//go:build !unix

package transport

import (
	"io"
	"sync/atomic"
)

// poller is not available on this system: a waiting read holds a small buffer.
type poller struct{}

func newPoller(io.ReadWriteCloser) *poller { return nil }

func (p *poller) read() (*Buffer, []byte, error) { return nil, nil, io.ErrNoProgress }

func (p *poller) write([]byte, *atomic.Bool) (int, error) { return 0, io.ErrNoProgress }
