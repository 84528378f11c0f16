package websocket

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// panicReceiver is a Receiver that panics when it receives a message.
type panicReceiver struct{}

func (panicReceiver) Message(Message) error { panic("on purpose") }
func (panicReceiver) Closed(*CloseError)    {}

// If an Endpoint has no hook for the end of a connection or for a panic, the Server's hook is called, with every driver. If neither
// has one, the event is logged.
func TestServer_HooksOfEndpoints(t *testing.T) {
	ways := map[string]func() *Endpoint{
		"Serve": func() *Endpoint {
			return &Endpoint{Serve: func(c *Conn) {
				if m, err := c.Read(bounded.Context(t)); err == nil && string(m.Data) == "panic" {
					panic("on purpose")
				}
			}}
		},
		"Open": func() *Endpoint { return &Endpoint{Open: func(Sender) Receiver { return panicReceiver{} }} },
	}
	for way, endpoint := range ways {
		for _, own := range []string{"the endpoint's", "the server's", "no"} {
			calls := make(chan string, 9)
			log := make(logLines, 9)
			e := endpoint()
			s := ownServer(e)
			s.HTTP.ErrorLog = log.logger()
			if own == "the endpoint's" {
				e.Ended = func(remote string, _ *CloseError) { calls <- "the endpoint's: " + remote }
				e.Panicked = func(v any, stack []byte) { calls <- "the endpoint's: " + v.(string) }
			}
			if own != "no" {
				s.Ended = func(remote string, _ *CloseError) { calls <- "the server's: " + remote }
				s.Panicked = func(v any, stack []byte) { calls <- "the server's: " + v.(string) }
			}
			r, nc, _ := exchangeHead(t, serveOwn(t, s), sampleRequest+"\r\n")
			if r.StatusCode != 101 {
				t.Fatal(r.Status)
			}
			c := raw{t, nc, protocol.RoleClient}
			nc.Write(append(c.frame(1, true, "panic"), c.frame(8, true, "\x03\xe8")...))
			io.Copy(io.Discard, nc)
			nc.Close()
			if own == "no" {
				if text := bounded.Receive(t, log); !strings.HasPrefix(text, "websocket: panic: on purpose\n") {
					t.Errorf("%s: logged %q", way, text)
				}
				continue
			}
			want := map[string]bool{own + ": on purpose": true, own + ": " + nc.LocalAddr().String(): true}
			for range 2 {
				if call := bounded.Receive(t, calls); !want[call] {
					t.Errorf("%s: the hook call is %s, want one of %v", way, call, want)
				} else {
					delete(want, call)
				}
			}
			if len(calls)+len(log) > 0 {
				t.Errorf("%s: %d more hook calls, %d lines in the log", way, len(calls), len(log))
			}
		}
	}
}

// A Server that cannot listen, or has no certificate, returns an error and leaves no listener open.
func TestServer_ListenFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := &Server{HTTP: &http.Server{Addr: taken.Addr().String(), Handler: &Endpoint{Serve: serveEcho}}}
	for name, listen := range map[string]func() error{
		"ListenAndServe": s.ListenAndServe, "ListenAndServeTLS": func() error { return s.ListenAndServeTLS("", "") },
	} {
		if err := listen(); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
			t.Errorf("%s on an address that is in use: %v", name, err)
		}
	}
	for name, listen := range map[string]func() error{
		"ListenAndServe": new(Server).ListenAndServe, "ListenAndServeTLS": func() error { return new(Server).ListenAndServeTLS("", "") },
	} {
		if err := listen(); err != errNoHTTP {
			t.Errorf("%s without HTTP: %v", name, err)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, files := range [][2]string{{none, none}, {none, ""}, {"", none}} {
		l := &failingListener{}
		if err := s.ServeTLS(l, files[0], files[1]); err == nil || !l.closed {
			t.Errorf("invalid files: %v, the listener is closed: %v", err, l.closed)
		}
	}
	l := &failingListener{}
	if err := new(Server).ServeTLS(l, "", ""); err != errNoHTTP || !l.closed {
		t.Errorf("ServeTLS without HTTP: %v, the listener is closed: %v", err, l.closed)
	}
}
