package websocket

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// secureConfig is the TLS configuration of servers that support HTTP/2 and HTTP/1.
func secureConfig(t *testing.T) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}, NextProtos: []string{"h2", "http/1.1"}}
}

// secureClient performs the TLS handshake on nc, for HTTP/2.
func secureClient(t *testing.T, nc net.Conn) *tls.Conn {
	t.Helper()
	client := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := client.HandshakeContext(bounded.Context(t)); err != nil {
		t.Fatal(err)
	}
	return client
}

// clientPreface is the preface of an HTTP/2 client, with empty SETTINGS.
const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// The first header on a connection has one time limit, whichever part of the Server reads the header, and however slow the previous
// steps are.
func TestServer_OneTimeLimitForTheFirstHead(t *testing.T) {
	long := "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", maxHead) // HTTP reads the end of the header
	for _, tt := range []struct {
		name       string
		tls        bool
		tlsTimeout time.Duration
		play       func(t *testing.T, nc net.Conn)
		ends       time.Duration
	}{
		{"a long head", false, 0, func(t *testing.T, nc net.Conn) {
			<-time.After(6 * time.Second)
			io.WriteString(nc, long)
		}, 7 * time.Second},
		{"silent in TLS", true, 0, func(t *testing.T, nc net.Conn) {}, 7 * time.Second},
		{"silent in TLS, with its own time limit", true, time.Second, func(t *testing.T, nc net.Conn) {}, time.Second},
		{"silent after TLS", true, 0, func(t *testing.T, nc net.Conn) {
			<-time.After(3 * time.Second)
			secureClient(t, nc)
		}, 7 * time.Second},
		{"silent after TLS with its own time limit", true, 4 * time.Second, func(t *testing.T, nc net.Conn) {
			<-time.After(3 * time.Second)
			secureClient(t, nc)
		}, 10 * time.Second},
		{"silent in the preface of HTTP/2", true, 0, func(t *testing.T, nc net.Conn) {
			<-time.After(3 * time.Second)
			client := secureClient(t, nc)
			<-time.After(3 * time.Second)
			io.WriteString(client, clientPreface[:10])
		}, 7 * time.Second},
		{"silent after the preface of HTTP/2", true, 0, func(t *testing.T, nc net.Conn) {
			client := secureClient(t, nc)
			go io.Copy(io.Discard, client)
			io.WriteString(client, clientPreface)
			<-time.After(7 * time.Second)
		}, 7 * time.Second},
		{"silent after the preface of HTTP/2 without TLS", false, 0, func(t *testing.T, nc net.Conn) {
			<-time.After(3 * time.Second)
			io.WriteString(nc, clientPreface)
		}, 7 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ownServer(&Endpoint{Serve: serveEcho})
			s.HTTP.ReadHeaderTimeout, s.TLSTimeout = 7*time.Second, tt.tlsTimeout
			s.HTTP.Protocols = new(http.Protocols)
			s.HTTP.Protocols.SetHTTP1(true)
			s.HTTP.Protocols.SetHTTP2(true)
			s.HTTP.Protocols.SetUnencryptedHTTP2(true)
			if tt.tls {
				config := secureConfig(t)
				s.HTTP.TLSConfig = config
				s.TLS = func(context.Context, net.Conn) *tls.Config { return config }
			}
			inBubble(t, s, func(t *testing.T, p *pipeListener) {
				begin := time.Now()
				nc := p.dial()
				defer nc.Close()
				tt.play(t, nc)
				io.Copy(io.Discard, nc) // TLS may send a close_notify
				if took := time.Since(begin); took != tt.ends {
					t.Errorf("closed after %v, want %v", took, tt.ends)
				}
				synctest.Wait()
				if n := s.Handshakes(); n != 0 {
					t.Errorf("%d connections still count", n)
				}
			})
		})
	}
}

// After the first header the http.Server's own time limits apply: for a body, and for the wait for another request.
func TestServer_LongAfterTheFirstHead(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		s := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			io.WriteString(w, r.Proto+" "+string(b))
			if err != nil {
				t.Error(err)
			}
		})}}
		config := secureConfig(t)
		s.HTTP.TLSConfig = config
		s.TLS = func(context.Context, net.Conn) *tls.Config { return config }
		inBubble(t, s, func(t *testing.T, p *pipeListener) {
			var dials atomic.Int32
			transport := &http.Transport{
				ForceAttemptHTTP2: proto == "HTTP/2.0",
				TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
				DialContext: func(context.Context, string, string) (net.Conn, error) {
					dials.Add(1)
					return p.dial(), nil
				},
			}
			defer transport.CloseIdleConnections()
			for range 3 {
				body, slow := io.Pipe()
				time.AfterFunc(time.Minute, func() { io.WriteString(slow, "late"); slow.Close() })
				r, err := (&http.Client{Transport: transport}).Post("https://a/", "text/plain", body)
				if err != nil {
					t.Fatalf("%s: %v", proto, err)
				}
				b, err := io.ReadAll(r.Body)
				if want := proto + " late"; string(b) != want || err != nil {
					t.Errorf("%s: %q, %v", proto, b, err)
				}
				r.Body.Close()
				<-time.After(time.Minute)
			}
			if n := dials.Load(); n != 1 {
				t.Errorf("%s: %d connections", proto, n)
			}
		})
	}
}

// secured is a listener that performs the TLS handshake itself.
type secured struct {
	*pipeListener
	config *tls.Config
}

func (l secured) Accept() (net.Conn, error) {
	nc, err := l.pipeListener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(nc, l.config), nil
}

// An HTTP/2 connection from a listener that performs the TLS handshake itself has the same time limit, is reported once in each
// state, and is counted while it waits.
func TestServer_HTTP2OfTheListener(t *testing.T) {
	var states bytes.Buffer
	contexts := 0
	var inHandler, release chan struct{}
	s := &Server{HTTP: &http.Server{
		TLSConfig:   secureConfig(t),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { contexts++; return ctx },
		ConnState: func(nc net.Conn, state http.ConnState) {
			if _, ok := nc.(*tls.Conn); !ok {
				t.Errorf("a hook was called with a %T", nc)
			}
			states.WriteString(state.String() + " ")
		},
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(inHandler); <-release }),
	}}
	synctest.Test(t, func(t *testing.T) {
		inHandler, release = make(chan struct{}), make(chan struct{}) // created in the bubble
		p := secured{newPipeListener(), s.HTTP.TLSConfig}
		serveOn(t, s, p, s.Serve)
		begin := time.Now()
		silent := p.dial()
		secureClient(t, silent)
		io.Copy(io.Discard, silent)
		if took := time.Since(begin); took != defaultHeadTimeout {
			t.Errorf("a silent connection was closed after %v", took)
		}
		synctest.Wait()
		if got := states.String(); got != "new closed " {
			t.Errorf("the states of a silent connection are %q", got)
		}
		states.Reset()
		contexts = 0
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil }}
		answered := make(chan error, 1)
		go func() {
			r, err := (&http.Client{Transport: transport}).Get("https://a/")
			if err == nil {
				r.Body.Close()
			}
			answered <- err
		}()
		bounded.Receive(t, inHandler)
		synctest.Wait()
		if n := s.Handshakes(); n != 0 {
			t.Errorf("%d connections wait while a request is with its handler", n)
		}
		close(release)
		if err := bounded.Receive(t, answered); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
		synctest.Wait()
		if got := states.String(); got != "new active idle active idle closed " {
			t.Errorf("the states of the connection are %q", got)
		}
		if n := s.Handshakes(); n != 0 || contexts != 1 {
			t.Errorf("%d connections wait, want none; %d calls of ConnContext, want 1", n, contexts)
		}
	})
}
