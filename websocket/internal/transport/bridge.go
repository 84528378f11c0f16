package transport

import (
	"io"
	"net"
	"sync"
	"time"
)

// bridge gives a stream deadlines: it is one end of a pipe whose other end is copied to and from the stream.
type bridge struct {
	net.Conn
	rwc  io.ReadWriteCloser
	once sync.Once
	err  error // of rwc's Close

	mu    sync.Mutex
	idle  bool // nothing is being written to rwc any more
	timer *time.Timer
}

// patience is how long a bridge that was closed goes on writing what it was given before.
const patience = time.Second

func newBridge(rwc io.ReadWriteCloser) *bridge {
	near, far := net.Pipe()
	b := &bridge{Conn: near, rwc: rwc}
	go func() {
		_, _ = io.Copy(rwc, far) // how it ended, the other side is notified by the end
		b.shut()
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

// Close closes the stream when it has taken what was written, or when patience is over.
func (b *bridge) Close() error {
	err := b.Conn.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.idle && b.timer == nil {
		b.timer = time.AfterFunc(patience, b.shut)
	}
	return err
}

// abort closes the stream immediately.
func (b *bridge) abort() error {
	b.Conn.Close()
	b.shut()
	return b.err
}

func (b *bridge) shut() { b.once.Do(func() { b.err = b.rwc.Close() }) }
