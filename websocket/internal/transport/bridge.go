package transport

import (
	"io"
	"net"
	"sync"
	"time"
)

// bridge adds deadlines to a stream. A bridge is one end of a pipe; goroutines copy data between the other end and the stream.
type bridge struct {
	net.Conn
	rwc  io.ReadWriteCloser
	once sync.Once
	err  error // the error of rwc's Close

	mu    sync.Mutex
	idle  bool // no more data is being written to rwc
	timer *time.Timer
}

// drainTimeout is how long a closed bridge continues to write the data that it has accepted.
const drainTimeout = time.Second

func newBridge(rwc io.ReadWriteCloser) *bridge {
	near, far := net.Pipe()
	b := &bridge{Conn: near, rwc: rwc}
	go func() {
		_, _ = io.Copy(rwc, far) // if this fails, the other side reads the end of the stream instead of the error
		b.closeStream()
		far.Close()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.idle = true
		if b.timer != nil {
			b.timer.Stop()
		}
	}()
	go func() {
		_, _ = io.Copy(far, rwc)
		far.Close()
	}()
	return b
}

// Close closes the stream when the stream has accepted the written data, or after drainTimeout.
func (b *bridge) Close() error {
	err := b.Conn.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.idle && b.timer == nil {
		b.timer = time.AfterFunc(drainTimeout, b.closeStream)
	}
	return err
}

// abort closes the stream immediately.
func (b *bridge) abort() error {
	b.Conn.Close()
	b.closeStream()
	return b.err
}

func (b *bridge) closeStream() { b.once.Do(func() { b.err = b.rwc.Close() }) }
