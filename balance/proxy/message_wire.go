package proxy

import (
	"net"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
)

// wire is the stream to a server. What the server has sent behind its 101 is read first, and a close frame may be written as the last frame
// past the Conn that owns the stream.
type wire struct {
	net.Conn
	late []byte // of the reader

	mu   sync.Mutex // held while something is written
	last bool       // the last frame is written
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

// Write implements [net.Conn]. Behind the frame of finish everything is dropped: a pong, say.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last {
		return len(p), nil
	}
	return w.Conn.Write(p)
}

// finish writes a close frame as the last frame, while the server may go on until it answers. No message may be under way.
func (w *wire) finish(code websocket.Code, reason string) error {
	_, frame, err := closeFrames(code, reason)
	if err != nil {
		return err
	}
	if err := w.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = true
	_, err = w.Conn.Write(frame)
	return err
}
