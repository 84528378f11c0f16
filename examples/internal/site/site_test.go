package site

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// run runs a site until the test ends, and returns its address and the result of Run.
func run(t *testing.T, s Site) (addr string, stop func(), ended <-chan error) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	s.Listen, s.Page = "127.0.0.1:0", fstest.MapFS{"index.html": {Data: []byte("a page")}}
	at, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- Run(ctx, s, func(url string) { at <- url }) }()
	return strings.Trim(strings.TrimPrefix(bounded.Receive(t, at), "http://"), "/"), stop, done
}

// A site shuts down without an error while a browser has an idle connection, an unfinished response and an open WebSocket.
func TestOpenPages(t *testing.T) {
	asked, left := make(chan bool, 1), make(chan bool, 1)
	addr, stop, ended := run(t, Site{Patience: 10 * time.Millisecond, Register: func(mux *http.ServeMux) func(context.Context) error {
		mux.HandleFunc("GET /events", func(_ http.ResponseWriter, r *http.Request) {
			asked <- true
			<-r.Context().Done()
			left <- true
		})
		return func(ctx context.Context) error { // in a real site, Endpoint.Shutdown returns this error
			<-ctx.Done()
			return ctx.Err()
		}
	}})
	for _, request := range []string{"", "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
	}
	bounded.Receive(t, asked)
	stop()
	if err := bounded.Receive(t, ended); err != nil {
		t.Error(err)
	}
	bounded.Receive(t, left)
}

// A failure during shutdown other than the end of Patience is an error.
func TestShutdownError(t *testing.T) {
	broken := errors.New("broken")
	_, stop, ended := run(t, Site{Register: func(*http.ServeMux) func(context.Context) error {
		return func(context.Context) error { return broken }
	}})
	stop()
	if err := bounded.Receive(t, ended); !errors.Is(err, broken) {
		t.Error(err)
	}
}
