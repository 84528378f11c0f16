package centrifugo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

const (
	maxBody      = 64 << 10        // the maximum size of a connect command, or of a request with commands
	maxStream    = 1 << 20         // the maximum number of bytes that wait to be written
	messageCost  = 64              // the cost of a message in addition to its data
	writeTimeout = 5 * time.Second // the timeout for one write
)

// stream is the Sender of a connection over HTTP. It queues messages until the handler of the request writes them.
type stream struct {
	format format
	remote string
	wake   chan struct{} // wakes the handler

	mu      sync.Mutex
	waiting [][]byte
	size    int
	full    bool // a message was rejected, so its sender waits for Drained
	closed  bool
}

// Send implements [websocket.Sender].
func (s *stream) Send(m websocket.Message) error { return s.push(append([]byte(nil), m.Data...)) }

// SendPrepared implements [websocket.Sender].
func (s *stream) SendPrepared(ps ...*websocket.Prepared) error {
	all := make([][]byte, len(ps))
	for i, p := range ps {
		all[i] = p.Data()
	}
	return s.push(all...)
}

func (s *stream) push(all ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	size := 0
	for _, data := range all {
		size += len(data) + messageCost
	}
	if s.size > 0 && s.size+size > maxStream {
		s.full = true
		return websocket.ErrQueueFull
	}
	s.waiting, s.size = append(s.waiting, all...), s.size+size
	s.notify()
	return nil
}

// notify wakes the handler. The caller holds mu.
func (s *stream) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns the messages to write, and reports whether they are the last, and whether a sender waits for room.
func (s *stream) take() (all [][]byte, last, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, full = s.waiting, s.full
	s.waiting, s.size, s.full = nil, 0, false
	return all, s.closed, full
}

// Buffered implements [websocket.Sender].
func (s *stream) Buffered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Shut implements [websocket.Sender]: it sends the reason in a push.
func (s *stream) Shut(code websocket.Code, reason string) error {
	data, err := s.format.encode(&protocol.Reply{Push: &protocol.Push{Disconnect: &protocol.Disconnect{Code: uint32(code), Reason: reason}}})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if err == nil {
		s.waiting = append(s.waiting, data)
	}
	s.closed = true
	s.notify()
	return nil
}

// CloseNow implements [websocket.Sender].
func (s *stream) CloseNow() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.waiting = true, nil
	s.notify()
	return nil
}

// Subprotocol implements [websocket.Sender].
func (s *stream) Subprotocol() string { return "" }

// RemoteAddr implements [websocket.Sender].
func (s *stream) RemoteAddr() net.Addr { return address(s.remote) }

// address is the address of a request.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// HTTPStream serves a connection as an endless response: JSON replies separated by line feeds or, for a request with the content type
// application/octet-stream, Protobuf. The body of the request is the connect command. c is the client of the request. If the request's
// context is canceled with a [*websocket.CloseError] as the cause, the client gets the code and the reason of that error.
func (s *Server) HTTPStream(w http.ResponseWriter, r *http.Request, c Client) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "the method must be POST", http.StatusMethodNotAllowed)
		return
	}
	f := asJSON
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if r.Header.Get("Content-Type") == "application/octet-stream" {
		f = asProtobuf
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	body, ok := readBody(w, r, maxBody)
	if !ok {
		return
	}
	s.stream(w, r, c, f, body, func(b, data []byte) []byte {
		if b = append(b, data...); f == asJSON {
			b = append(b, '\n')
		}
		return b
	})
}

// SSE serves a connection as Server-Sent Events (WHATWG HTML §9.2), in JSON. The query parameter cf_connect is the connect command. c is
// the client of the request. Canceling the request's context has the same effect as for HTTPStream.
func (s *Server) SSE(w http.ResponseWriter, r *http.Request, c Client) {
	body := r.URL.Query().Get("cf_connect")
	if r.Method != http.MethodGet || body == "" || len(body) > maxBody {
		http.Error(w, fmt.Sprintf("send a GET request with the connect command, of up to %d bytes, in the parameter cf_connect", maxBody), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	s.stream(w, r, c, asJSON, []byte(body), func(b, data []byte) []byte {
		return append(append(append(b, "data: "...), data...), "\n\n"...)
	})
}

// readBody reads the body of a request. If it returns false, it has sent an error response.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return nil, false
	}
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return nil, false
	}
	return body, true
}

// stream serves a connection over HTTP until it ends. frame appends an encoded reply to the response.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, c Client, f format, first []byte, frame func(b, data []byte) []byte) {
	out := &stream{format: f, remote: r.RemoteAddr, wake: make(chan struct{}, 1)}
	n := s.newSession(c, out, f)
	n.secret = rand.Text()
	s.register(n)
	defer n.Closed(nil)
	defer out.CloseNow() //nolint:errcheck // CloseNow always returns nil
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{}) //nolint:errcheck // if this fails, w has no read deadline to clear
	if control.Flush() != nil {
		return
	}
	n.receiveEmulated(first)
	for {
		select {
		case <-r.Context().Done():
			end, ok := errors.AsType[*websocket.CloseError](context.Cause(r.Context()))
			if !ok {
				return
			}
			out.Shut(end.Code, end.Reason) //nolint:errcheck // this fails if the connection has already ended
		case <-out.wake:
		}
		all, last, full := out.take()
		var b []byte
		for _, data := range all {
			b = frame(b, data)
		}
		control.SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:errcheck // if this fails, the server's own write timeout applies
		if _, err := w.Write(b); err != nil || control.Flush() != nil || last {
			return
		}
		control.SetWriteDeadline(time.Time{}) //nolint:errcheck // if this fails, the server's own write timeout applies
		if full {
			n.Drained()
		}
	}
}

// receiveEmulated executes commands that arrived in a separate request.
func (s *session) receiveEmulated(data []byte) {
	if s.client.Received != nil && s.client.Received(int64(len(data))) != nil {
		return
	}
	if end, ok := errors.AsType[*websocket.CloseError](s.receive(data)); ok {
		s.shut(end)
	}
}

// register registers the session of a connection over HTTP, so that Emulation finds it.
func (s *Server) register(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == nil {
		s.streams = map[string]*session{}
	}
	s.streams[n.secret] = n
}

// unregister unregisters a session.
func (s *Server) unregister(n *session) {
	if n.secret == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, n.secret)
}

// Emulation receives the commands of connections over HTTP, which may be on any node.
func (s *Server) Emulation(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "the method must be POST", http.StatusMethodNotAllowed)
		return
	}
	body, ok := readBody(w, r, maxBody+maxBody/2)
	if !ok {
		return
	}
	var e protocol.EmulationRequest
	var err error
	if r.Header.Get("Content-Type") == "application/octet-stream" {
		err = e.UnmarshalCF(body)
	} else if err = cfjson.Unmarshal(body, &e, 0); err == nil {
		var text string
		err = json.Unmarshal(e.Data, &text)
		e.Data = protocol.Raw(text)
	}
	if err != nil || e.Session == "" || e.Node == "" {
		http.Error(w, "the body is not an emulation request: a session, a node and data", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	n := s.streams[e.Session]
	s.mu.Unlock()
	if n != nil {
		n.receiveEmulated(e.Data)
	} else {
		ctx, cancel := context.WithTimeout(r.Context(), commandTimeout)
		defer cancel()
		if err := s.send(ctx, hub.CommandMessage, "", e.Node, &order{Emulation: &emulationOrder{Secret: e.Session, Data: e.Data}}); err != nil {
			http.Error(w, "the node of the connection cannot be reached", http.StatusServiceUnavailable)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
