package websocket

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/protocol"
)

// The time limits of an http.Server for reading a request and writing a response do not apply after the handshake, either in a
// handler that calls Accept or with an Endpoint.
func TestTimeoutsOfHTTPServer(t *testing.T) {
	echo := func(ctx context.Context, c *Conn) {
		for m, err := range c.Messages(ctx) {
			if err != nil || c.Write(ctx, m) != nil {
				return
			}
		}
	}
	for name, h := range map[string]http.Handler{
		"Accept": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := Accept(w, r, nil); err == nil {
				echo(r.Context(), c)
			}
		}),
		"Endpoint": &Endpoint{Serve: func(c *Conn) { echo(context.Background(), c) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &http.Server{Handler: h, ReadTimeout: time.Second, WriteTimeout: time.Second, IdleTimeout: time.Second}
				p, served := newPipeListener(), make(chan error, 1)
				go func() { served <- s.Serve(p) }()
				nc := p.dial()
				go io.WriteString(nc, sampleRequest+"\r\n")
				br := bufio.NewReader(nc)
				if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != http.StatusSwitchingProtocols {
					t.Fatal(r, err)
				}
				c, err := NewConn(readFrom{br, nc}, protocol.RoleClient, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer c.CloseNow()
				time.Sleep(10 * time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := c.Write(ctx, Message{Type: Text, Data: []byte("late")}); err != nil {
					t.Error(err)
				}
				if m, err := c.Read(ctx); err != nil || string(m.Data) != "late" {
					t.Errorf("%q, %v", m.Data, err)
				}
				if err := c.Close(CodeNormal, ""); err != nil {
					t.Error(err)
				}
				s.Close()
				if err := <-served; !errors.Is(err, http.ErrServerClosed) {
					t.Error(err)
				}
			})
		})
	}
}

// readFrom is a stream with some bytes that have already been read from it.
type readFrom struct {
	io.Reader
	io.WriteCloser
}
