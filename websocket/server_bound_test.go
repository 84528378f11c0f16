package websocket

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// passHeaderTimeout waits, on the bubble's clock, for longer than the time limit for headers in the tests of this file.
func passHeaderTimeout() { <-time.After(time.Minute) }

// slowServer returns a Server with a time limit for headers. Its handler takes longer than that limit.
func slowServer(h http.HandlerFunc) *Server {
	return &Server{HTTP: &http.Server{ReadHeaderTimeout: 7 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		passHeaderTimeout()
		h(w, r)
	})}}
}

// upgradeStatus sends an upgrade request, and returns the status of the response and all data after the response's header.
func upgradeStatus(t *testing.T, nc net.Conn) (status int, rest string) {
	t.Helper()
	io.WriteString(nc, sampleRequest+"\r\n")
	br := bufio.NewReader(nc)
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	from := io.Reader(r.Body)
	if r.StatusCode == http.StatusSwitchingProtocols {
		from = br
	}
	b, err := io.ReadAll(from)
	if err != nil {
		t.Error(err)
	}
	return r.StatusCode, string(b)
}

// The time limit for the header does not apply to a handler's response, whatever the handler does first.
func TestServer_HandlerTakesItsTime(t *testing.T) {
	for _, tt := range []struct {
		what   string
		h      http.HandlerFunc
		status int
		rest   string
	}{
		{"a body", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "late") }, 200, "late"},
		{"nothing", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", "late") }, 200, ""},
		{"the head", func(w http.ResponseWriter, _ *http.Request) { http.NewResponseController(w).Flush() }, 200, ""},
		{"a body after a watch", func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
				t.Error("the client is reported to be gone")
			case <-time.After(time.Minute):
			}
			io.WriteString(w, "late")
		}, 200, "late"},
		{"a hijacked connection", func(w http.ResponseWriter, _ *http.Request) {
			nc, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			passHeaderTimeout()
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nConnection: close\r\nX: late\r\n\r\n")
		}, 200, ""},
		{"a connection hijacked after its 101", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusSwitchingProtocols)
			nc, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			passHeaderTimeout()
			io.WriteString(nc, "late")
		}, 101, "late"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			inBubble(t, slowServer(tt.h), func(t *testing.T, p *pipeListener) {
				nc := p.dial()
				defer nc.Close()
				status, rest := upgradeStatus(t, nc)
				if status != tt.status || rest != tt.rest {
					t.Errorf("%d, %q, want %d, %q", status, rest, tt.status, tt.rest)
				}
			})
		})
	}
}

// WriteTimeout starts at the request, and limits the time of a response that the client does not read. It does not apply to a
// WebSocket connection or a hijacked connection.
func TestServer_WriteTimeout(t *testing.T) {
	var ended chan error // created in the bubble, like all channels here
	var took time.Duration
	var began time.Time
	s := slowServer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/open" {
			c, err := Accept(w, r, &AcceptOptions{Conn: ConnOptions{PingInterval: -1}})
			if err == nil {
				<-time.After(3 * time.Minute)
				err = c.Write(r.Context(), Message{Type: Text, Data: []byte("late")})
				c.CloseNow()
			}
			ended <- err
			return
		}
		_, err := w.Write(make([]byte, 1<<20))
		took = time.Since(began)
		ended <- err
	})
	s.HTTP.WriteTimeout = 2 * time.Minute
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		ended, began = make(chan error, 1), time.Now()
		nc := p.dial()
		defer nc.Close()
		io.WriteString(nc, sampleRequest+"\r\n")
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) || took != 2*time.Minute {
			t.Errorf("%v after %v", err, took)
		}
		open := p.dial()
		defer open.Close()
		io.WriteString(open, "GET /open"+sampleRequest[len("GET /chat"):]+"\r\n")
		go io.Copy(io.Discard, open)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The context of a request is canceled when the handler returns or the client disconnects, whether or not a goroutine has waited
// for it before.
func TestServer_RequestContextEnds(t *testing.T) {
	type key struct{}
	for _, waited := range []bool{false, true} {
		var seen chan context.Context
		var over chan struct{}
		s := slowServer(func(_ http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if waited {
				_ = ctx.Done()
			}
			if _, set := ctx.Deadline(); set || ctx.Err() != nil || ctx.Value(key{}) != 7 || ctx.Value(http.LocalAddrContextKey) == nil {
				t.Errorf("waited %v: %v, value %v", waited, ctx.Err(), ctx.Value(key{}))
			}
			seen <- ctx
			<-over
		})
		s.HTTP.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), key{}, 7) }
		inBubble(t, s, func(t *testing.T, p *pipeListener) {
			seen, over = make(chan context.Context, 1), make(chan struct{})
			nc := p.dial()
			defer nc.Close()
			io.WriteString(nc, sampleRequest+"\r\n")
			ctx := <-seen
			below, cancel := context.WithCancel(ctx)
			defer cancel()
			if below.Err() != nil {
				t.Errorf("waited %v: %v", waited, below.Err())
			}
			nc.Close() // the server notices this, because WithCancel has called ctx.Done
			<-below.Done()
			<-ctx.Done()
			if err := ctx.Err(); err != context.Canceled || context.Cause(below) != context.Canceled {
				t.Errorf("waited %v: %v, below %v", waited, err, context.Cause(below))
			}
			close(over)
			synctest.Wait()
		})
	}
	var seen chan context.Context
	s := slowServer(nil)
	s.HTTP.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Context() })
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		seen = make(chan context.Context, 1)
		nc := p.dial()
		defer nc.Close()
		upgradeStatus(t, nc)
		ctx := <-seen
		synctest.Wait()
		if ctx.Err() != context.Canceled {
			t.Errorf("after the handler: %v", ctx.Err())
		}
		<-ctx.Done()
	})
}

// Each connection has its own time limit, even if another one has just completed its handshake.
func TestServer_SlowAfterQuick(t *testing.T) {
	s := slowServer(nil)
	s.HTTP.Handler = &Endpoint{Serve: serveEcho, Accept: AcceptOptions{Conn: ConnOptions{PingInterval: -1}}}
	inBubble(t, s, func(t *testing.T, p *pipeListener) {
		begin := time.Now()
		for range 10 { // each connection usually reuses the memory of the previous handshake
			opened(t, p)
			nc := p.dial()
			defer nc.Close()
			defer func() {
				if b, err := io.ReadAll(nc); len(b) > 0 || err != nil || time.Since(begin) != 7*time.Second {
					t.Errorf("%q, %v after %v", b, err, time.Since(begin))
				}
			}()
		}
	})
}
