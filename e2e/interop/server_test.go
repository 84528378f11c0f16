//go:build e2e

package interop_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A record is our server's record of one connection.
type record struct {
	check       string
	subprotocol string
	extensions  string
	rtt         time.Duration // round-trip time of our ping; 0 if none was sent
	err         error         // the error that ended the connection, or the error of Accept
	status      int           // status of the response, if the handshake failed
	reply       string
}

// A server is our server. The path of a request selects the check.
type server struct {
	base    string // the base URL, such as "ws://127.0.0.1:1234" or "wss://127.0.0.1:1234"
	page    string // the base URL with http or https in place of ws or wss
	variant variant
	mu      sync.Mutex
	wait    sync.WaitGroup
	records []record
}

// startServer starts our server, which runs until the test ends.
func startServer(t *testing.T, v variant, cert certificate) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{variant: v, page: v.scheme() + "://" + l.Addr().String()}
	s.base = "ws" + strings.TrimPrefix(s.page, "http")
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.serve)
	mux.HandleFunc("/page", page)
	mux.HandleFunc("/stranger", page)
	mux.Handle("/peers/", http.StripPrefix("/peers/", http.FileServer(http.Dir("peers"))))
	hs := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: limit,
		BaseContext:       func(net.Listener) context.Context { return t.Context() },
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	ended := make(chan error, 1)
	if v.secure {
		hs.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert.leaf}}
		go func() { ended <- hs.ServeTLS(l, "", "") }()
	} else {
		go func() { ended <- hs.Serve(l) }()
	}
	t.Cleanup(func() {
		hs.Close()
		if err := bounded.Receive(t, ended); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the server ended: %v", err)
		}
		s.wait.Wait()
	})
	return s
}

// page serves the page that runs the checks in a browser.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, `<!doctype html><title>interop</title><script type="module" src="/peers/page.mjs"></script>`)
}

// seen waits until all connections have ended, and returns their records by check.
func (s *server) seen() map[string]record {
	s.wait.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]record, len(s.records))
	for _, r := range s.records {
		all[r.check] = r
	}
	return all
}

// recordingWriter captures the response to a failed handshake.
type recordingWriter struct {
	http.ResponseWriter
	status int
	body   strings.Builder
}

func (s *recordingWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
func (s *recordingWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
func (s *recordingWriter) Write(p []byte) (int, error) {
	s.body.Write(p)
	return s.ResponseWriter.Write(p)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		http.NotFound(w, r) // for example a browser's request for an icon
		return
	}
	s.wait.Add(1)
	defer s.wait.Done()
	rec := record{check: r.URL.Path[1:]}
	reply := &recordingWriter{ResponseWriter: w}
	c, err := websocket.Accept(reply, r, &websocket.AcceptOptions{Subprotocols: subprotocols, Conn: s.variant.conn})
	if err != nil {
		rec.err, rec.status, rec.reply = err, reply.status, reply.body.String()
	} else {
		rec.subprotocol, rec.extensions = c.Handshake().Subprotocol, c.Handshake().Extensions
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		rec.rtt, rec.err = converse(ctx, c, rec.check)
		cancel()
		c.CloseNow()
	}
	s.mu.Lock()
	s.records = append(s.records, rec)
	s.mu.Unlock()
}

// converse runs the server's part of a check, and echoes until the connection ends. It returns the error that ended the connection.
func converse(ctx context.Context, c *websocket.Conn, check string) (rtt time.Duration, err error) {
	switch check {
	case "fragments-to-peer":
		err = writePieces(ctx, c)
	case "close-by-us":
		if err = c.Close(ourCode, ourReason); err == nil {
			return 0, context.Cause(c.Context())
		}
	case "ping-by-us":
		return echoAndPing(ctx, c)
	}
	if err != nil {
		return 0, err
	}
	return 0, echo(ctx, c)
}

// echoAndPing sends a ping while another goroutine reads and echoes. After the pong, it sends the message "pong".
func echoAndPing(ctx context.Context, c *websocket.Conn) (time.Duration, error) {
	ended := make(chan error, 1)
	go func() { ended <- echo(ctx, c) }()
	rtt, err := c.Ping(ctx)
	if err == nil {
		err = c.Write(ctx, websocket.Message{Type: websocket.Text, Data: []byte("pong")})
	}
	if err != nil {
		c.CloseNow()
		return 0, errors.Join(fmt.Errorf("ping: %w", err), <-ended)
	}
	return rtt, <-ended
}

func echo(ctx context.Context, c *websocket.Conn) error {
	for {
		m, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if err := c.Write(ctx, m); err != nil {
			return err
		}
	}
}

// writePieces sends one text message in fragments, one of which ends within a character.
func writePieces(ctx context.Context, c *websocket.Conn) error {
	w, err := c.Writer(ctx, websocket.Text)
	if err != nil {
		return err
	}
	last := pieces[len(pieces)-1]
	for _, p := range append(pieces[:len(pieces)-1:len(pieces)-1], last[:2], last[2:]) {
		if _, err := io.WriteString(w, p); err != nil {
			return err
		}
	}
	return w.Close()
}
