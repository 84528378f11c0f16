package proxy

import (
	"net"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
)

// wire is the byte stream to a server. The bytes that the server has sent after its 101 are read first. A close frame can be
// written as the last frame, bypassing the Conn that owns the stream.
type wire struct {
	net.Conn
	late []byte // only the reader uses it

	mu   sync.Mutex // held during a write
	last bool       // the last frame has been written
}

// Read implements [net.Conn].
func (w *wire) Read(p []byte) (int, error) {
	if len(w.late) > 0 {
		n := copy(p, w.late)
		w.late = w.late[n:]
		return n, nil
	}
	return w.Conn.Read(p)
}

// Write implements [net.Conn]. It drops everything after the frame of finish, such as a pong.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// finish writes a close frame as the last frame; the server may continue to send until it replies. No message may be in the middle
// of being written.
func (w *wire) finish(code websocket.Code, reason string) error {
	_, frame, err := closeFrames(code, reason)
	if err != nil {
		return err
	}
	if err := w.SetWriteDeadline(time.Now().Add(closeTimeout)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = true
	_, err = w.Conn.Write(frame)
	return err
}
