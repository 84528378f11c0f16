package websocket

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// bound waits until s listens, and returns where.
func bound(t *testing.T, s *Server) (addr string) {
	t.Helper()
	bounded.Until(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for l := range s.listeners {
			addr = l.Addr().String()
		}
		return addr != ""
	})
	return addr
}

func TestListenAndServe(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "a page") })
	config := &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	trust := &tls.Config{InsecureSkipVerify: true}
	for _, secure := range []bool{false, true} {
		for _, pings := range []time.Duration{0, -1} {
			s := &Server{Handler: echoing, HTTP: &http.Server{Handler: pages}}
			s.Accept.Conn.PingInterval = pings
			over := make(chan error, 1)
			scheme := ""
			if secure {
				scheme = "s"
				go func() { over <- s.ListenAndServeTLS("127.0.0.1:0", config) }()
			} else {
				go func() { over <- s.ListenAndServe("127.0.0.1:0") }()
			}
			addr := bound(t, s)
			c, err := Dial(bounded.Context(t), "ws"+scheme+"://"+addr, &DialOptions{TLS: trust.Clone(), Proxy: noProxy})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Write(bounded.Context(t), Message{Text, []byte("hello")}); err != nil {
				t.Error(err)
			}
			if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "hello" {
				t.Errorf("read %q, %v", m.Data, err)
			}
			c.CloseNow()
			transport := &http.Transport{TLSClientConfig: trust.Clone()}
			r, err := (&http.Client{Transport: transport}).Get("http" + scheme + "://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(r.Body); err != nil || string(b) != "a page" {
				t.Errorf("the page is %q, %v", b, err)
			}
			r.Body.Close()
			transport.CloseIdleConnections()
			if err := s.Shutdown(bounded.Context(t)); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if err := bounded.Receive(t, over); !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("it returned %v", err)
			}
		}
	}
}

func TestListenAndServeWithoutAnAddress(t *testing.T) {
	s := &Server{Handler: echoing}
	for _, err := range []error{s.ListenAndServe("nowhere"), s.ListenAndServeTLS("nowhere", &tls.Config{})} {
		if _, ok := errors.AsType[*net.OpError](err); !ok {
			t.Errorf("%v", err)
		}
	}
	if _, err := Listen("tcp", "nowhere"); err == nil {
		t.Error("Listen listens nowhere")
	}
}
