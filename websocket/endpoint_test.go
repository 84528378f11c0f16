package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
)

// A configuration error in an Endpoint, or a panic in Admit, results in a 500 response and a report.
func TestEndpoint_Mistakes(t *testing.T) {
	serves := func(*Conn) {}
	admission := func(a *Admission) func(*http.Request) (*Admission, error) {
		return func(*http.Request) (*Admission, error) { return a, nil }
	}
	blocking := ConnOptions{QueueFull: QueueBlock}
	for name, e := range map[string]*Endpoint{
		"neither":                   {},
		"both":                      {Serve: serves, Open: openEcho},
		"Check":                     {Serve: serves, Accept: AcceptOptions{Check: func(*http.Request) error { return nil }}},
		"QueueBlock":                {Open: openEcho, Accept: AcceptOptions{Conn: blocking}},
		"QueueBlock from Admit":     {Open: openEcho, Admit: admission(&Admission{Options: &blocking})},
		"HalfClose":                 {Open: openEcho, Accept: AcceptOptions{Conn: ConnOptions{HalfClose: true}}},
		"both from Admit":           {Admit: admission(&Admission{Serve: serves, Open: openEcho})},
		"a subprotocol not offered": {Serve: serves, Admit: admission(&Admission{Subprotocol: "x"})},
		"a bad header from Admit":   {Serve: serves, Admit: admission(&Admission{Header: http.Header{"Upgrade": {"x"}}})},
		"bad compression from Admit": {Serve: serves, Admit: admission(&Admission{Options: &ConnOptions{
			Compression: &Compression{ServerWindowBits: 8}}})},
		"a panic in Admit": {Serve: serves, Admit: func(*http.Request) (*Admission, error) { panic("oh") }},
	} {
		t.Run(name, func(t *testing.T) {
			refused, panicked := make(chan *HandshakeError, 2), make(chan any, 2)
			e.Refused = func(_ context.Context, _ string, _ *http.Request, err *HandshakeError) { refused <- err }
			e.Panicked = func(value any, _ []byte) { panicked <- value }
			for _, addr := range []string{serve(t, e), serveOwn(t, ownServer(e))} {
				r, _, _ := exchangeHead(t, addr, sampleRequest+"\r\n")
				b, _ := io.ReadAll(r.Body)
				if r.StatusCode != 500 || strings.Contains(string(b), "oh") {
					t.Errorf("%d %q", r.StatusCode, b)
				}
				if err := bounded.Receive(t, refused); err.Status != 500 || string(err.Body) != string(b) {
					t.Errorf("reported: %#v", err)
				}
				if name == "a panic in Admit" {
					if v := bounded.Receive(t, panicked); v != "oh" {
						t.Errorf("reported: %v", v)
					}
				}
			}
		})
	}
}

// An error for which no hook is set is written to the server's log, to which the response refers.
func TestEndpoint_MistakeIsLogged(t *testing.T) {
	lines := make(chan string, 1)
	s := ownServer(&Endpoint{})
	s.HTTP.ErrorLog = log.New(lineWriter(lines), "", 0)
	r, _, _ := exchangeHead(t, serveOwn(t, s), sampleRequest+"\r\n")
	if line := bounded.Receive(t, lines); r.StatusCode != 500 || !strings.Contains(line, "exactly one of Endpoint.Serve and Endpoint.Open") {
		t.Errorf("%d, logged %q", r.StatusCode, line)
	}
}

// lineWriter sends the data of each write to a channel.
type lineWriter chan<- string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// Admit selects how a client is served.
func TestEndpoint_Admit(t *testing.T) {
	e := &Endpoint{
		Accept: AcceptOptions{Subprotocols: []string{"chat"}, Header: http.Header{"X-A": {"a"}}},
		Serve:  func(c *Conn) { c.Close(CodeInternalError, "") },
		Admit: func(r *http.Request) (*Admission, error) {
			if r.URL.Path == "/no" {
				return nil, &Reject{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}}, Reason: "Who are you?"}
			}
			return &Admission{
				Options:     &ConnOptions{Compression: &Compression{}},
				Subprotocol: "superchat",
				Header:      http.Header{"X-B": {"b"}},
				Serve:       func(c *Conn) { c.Write(context.Background(), Message{Text, []byte(r.URL.Path)}) },
			}, nil
		},
	}
	refused := make(chan *HandshakeError, 1)
	e.Refused = func(_ context.Context, _ string, r *http.Request, err *HandshakeError) {
		if r == nil || r.URL.Path != "/no" {
			t.Errorf("Refused was called with %v", r)
		}
		refused <- err
	}
	for _, addr := range []string{serve(t, e), serveOwn(t, ownServer(e))} {
		c, err := Dial(bounded.Context(t), "ws://"+addr+"/room", &DialOptions{
			Proxy: noProxy, Subprotocols: []string{"chat", "superchat"}, Conn: ConnOptions{Compression: &Compression{}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		hs := c.Handshake()
		if hs.Subprotocol != "superchat" || hs.Extensions == "" || hs.Header.Get("X-A") != "a" || hs.Header.Get("X-B") != "b" {
			t.Errorf("%+v", hs)
		}
		if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "/room" {
			t.Errorf("%q, %v", m.Data, err)
		}
		r, _, _ := exchangeHead(t, addr, strings.Replace(sampleRequest, "/chat", "/no", 1)+"\r\n")
		if b, _ := io.ReadAll(r.Body); r.StatusCode != 401 || string(b) != "Who are you?\n" || r.Header.Get("Www-Authenticate") != "Bearer" {
			t.Errorf("%d %q %v", r.StatusCode, b, r.Header)
		}
		if err := bounded.Receive(t, refused); err.Stage != handshake.StageCheck || err.Status != 401 {
			t.Errorf("reported: %#v", err)
		}
	}
}

// A panic closes one connection and is reported. The end of each connection is reported too.
func TestEndpoint_PanicsAndEnds(t *testing.T) {
	for name, e := range map[string]*Endpoint{
		"Serve":   {Serve: func(*Conn) { panic("oh") }},
		"Open":    {Open: func(Sender) Receiver { panic("oh") }},
		"Message": {Open: func(Sender) Receiver { return panicking{} }},
	} {
		t.Run(name, func(t *testing.T) {
			panicked, ended := make(chan any, 1), make(chan *CloseError, 1)
			e.Panicked = func(value any, stack []byte) {
				if len(stack) == 0 {
					t.Error("no stack")
				}
				panicked <- value
			}
			e.Ended = func(remote string, err *CloseError) {
				if remote == "" {
					t.Error("no address")
				}
				ended <- err
			}
			c, err := Dial(bounded.Context(t), "ws://"+serveOwn(t, ownServer(e)), &DialOptions{Proxy: noProxy})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			c.Write(bounded.Context(t), Message{Text, []byte("hi")})
			if _, err := c.Read(bounded.Context(t)); CloseCode(err) != CodeInternalError {
				t.Errorf("the client got %v", err)
			}
			if v := bounded.Receive(t, panicked); v != "oh" {
				t.Errorf("reported: %v", v)
			}
			if err := bounded.Receive(t, ended); err == nil || err.Code != CodeInternalError {
				t.Errorf("reported: %v", err)
			}
		})
	}
}

type panicking struct{}

func (panicking) Message(Message) error { panic("oh") }
func (panicking) Closed(*CloseError)    {}

// A panic in a hook only affects that call of the hook.
func TestHooks_Panic(t *testing.T) {
	e := &Endpoint{Serve: func(*Conn) {}}
	panicked := make(chan any, 2)
	e.Refused = func(context.Context, string, *http.Request, *HandshakeError) { panic("oh") }
	e.Panicked = func(any, []byte) { panic("again") }
	s := ownServer(e)
	logged := make(logLines, 4)
	s.HTTP.ErrorLog = logged.logger()
	addr := serveOwn(t, s)
	for range 2 {
		if r, _, _ := exchangeHead(t, addr, sampleRequest+"Origin: http://evil.example.net\r\n\r\n"); r.StatusCode != 403 {
			t.Errorf("%v", r.Status)
		}
		if line := bounded.Receive(t, logged); !strings.Contains(line, "panic: oh") {
			t.Errorf("logged: %q", line)
		}
	}
	close(panicked)
}

// exiting calls runtime.Goexit in any callback.
type exiting struct{}

func (exiting) Message(Message) error { runtime.Goexit(); return nil }
func (exiting) Closed(*CloseError)    { runtime.Goexit() }

// runtime.Goexit in a Receiver closes its connection, but no other connection on the same loop.
func TestEvents_Goexit(t *testing.T) {
	for name, open := range map[string]func(Sender) Receiver{
		"Open":    func(Sender) Receiver { runtime.Goexit(); return nil },
		"Message": func(Sender) Receiver { return exiting{} },
	} {
		for _, loop := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/loop=%v", name, loop), func(t *testing.T) {
				panicked, ended := make(chan any, 4), make(chan *CloseError, 4)
				e := &Endpoint{Open: open, Hooks: Hooks{
					Panicked: func(v any, _ []byte) { panicked <- v },
					Ended:    func(_ string, err *CloseError) { ended <- err },
				}}
				s := ownServer(e)
				s.Loops = 1
				if !loop {
					s.loops.stop(false)
				}
				addr := serveOwn(t, s)
				for range 3 {
					c, err := Dial(bounded.Context(t), "ws://"+addr, &DialOptions{Proxy: noProxy})
					if err != nil {
						t.Fatal(err)
					}
					defer c.CloseNow()
					c.Write(bounded.Context(t), Message{Text, []byte("hi")})
					if _, err := c.Read(bounded.Context(t)); CloseCode(err) != CodeInternalError {
						t.Errorf("the client got %v", err)
					}
					if err := bounded.Receive(t, ended); err == nil || err.Code != CodeInternalError {
						t.Errorf("reported: %v", err)
					}
				}
				if len(panicked) > 0 {
					t.Errorf("reported as a panic: %v", bounded.Receive(t, panicked))
				}
			})
		}
	}
}

// A panic with http.ErrAbortHandler closes a connection without a report, as in net/http.
func TestEndpoint_AbortsQuietly(t *testing.T) {
	for name, a := range map[string]*Admission{
		"Serve":   {Serve: func(*Conn) { panic(http.ErrAbortHandler) }},
		"Open":    {Open: func(Sender) Receiver { panic(http.ErrAbortHandler) }},
		"Message": {Open: func(Sender) Receiver { return aborting{} }},
		"Tunnel":  {Tunnel: func(net.Conn, []byte) { panic(http.ErrAbortHandler) }},
		"exits":   {Tunnel: func(net.Conn, []byte) { runtime.Goexit() }},
	} {
		t.Run(name, func(t *testing.T) {
			e := &Endpoint{Admit: func(*http.Request) (*Admission, error) { return a, nil }}
			e.Panicked = func(v any, _ []byte) { t.Errorf("reported: %v", v) }
			c, err := Dial(bounded.Context(t), "ws://"+serveOwn(t, ownServer(e)), &DialOptions{Proxy: noProxy})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			c.Write(bounded.Context(t), Message{Text, []byte("hi")})
			if _, err := c.Read(bounded.Context(t)); CloseCode(err) != CodeAbnormal {
				t.Errorf("the client got %v", err)
			}
		})
	}
}

type aborting struct{}

func (aborting) Message(Message) error { panic(http.ErrAbortHandler) }
func (aborting) Closed(*CloseError)    { panic(http.ErrAbortHandler) }

// TestEndpoint_EndedAndClosed checks that both hooks receive the same error, and that a panic in Closed is reported if there was no
// other error.
func TestEndpoint_EndedAndClosed(t *testing.T) {
	mine := errors.New("mine")
	for name, tt := range map[string]struct {
		message error
		closed  func()
		want    string
	}{
		"Closed returns":                {mine, func() {}, "mine"},
		"Closed panics":                 {mine, func() { panic("boom") }, "mine"},
		"Closed aborts":                 {mine, func() { panic(http.ErrAbortHandler) }, "mine"},
		"Closed of a clean end returns": {nil, func() {}, ""},
		"Closed of a clean end panics":  {nil, func() { panic("boom") }, "panic: boom"},
		"Closed of a clean end aborts":  {nil, func() { panic(http.ErrAbortHandler) }, ""},
	} {
		for _, loops := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, loops %t", name, loops), func(t *testing.T) {
				ended := make(chan *CloseError, 2)
				e := &Endpoint{Open: func(Sender) Receiver { return &failingReceiver{tt.message, tt.closed} }}
				e.Ended = func(_ string, err *CloseError) { ended <- err }
				e.Panicked = func(any, []byte) {}
				s := ownServer(e)
				if !loops {
					s.loops.stop(false)
				}
				c, err := Dial(bounded.Context(t), "ws://"+serveOwn(t, s), &DialOptions{Proxy: noProxy})
				if err != nil {
					t.Fatal(err)
				}
				defer c.CloseNow()
				if err := c.Write(bounded.Context(t), Message{Text, []byte("hi")}); err != nil {
					t.Fatal(err)
				}
				if tt.message == nil {
					c.Close(CodeNormal, "") //nolint:errcheck // the server reports how the connection ended
				} else if _, err := c.Read(bounded.Context(t)); CloseCode(err) != CodeInternalError {
					t.Errorf("the client got %v", err)
				}
				got := bounded.Receive(t, ended)
				text := ""
				if got.Err != nil {
					text = got.Err.Error()
				}
				if text != tt.want {
					t.Errorf("ended with %v, want %q", got, tt.want)
				}
			})
		}
	}
}

// failingReceiver returns an error from Message, and calls a function in Closed.
type failingReceiver struct {
	message error
	closed  func()
}

func (r *failingReceiver) Message(Message) error { return r.message }
func (r *failingReceiver) Closed(*CloseError)    { r.closed() }

// runtime.Goexit, which t.FailNow calls, closes the connection, so that the client does not wait.
func TestServer_Goexit(t *testing.T) {
	brief := ConnOptions{CloseTimeout: 100 * time.Millisecond} // the client does not reply
	for name, h := range map[string]http.Handler{
		"handler": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }),
		"Accept": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			Accept(w, r, &AcceptOptions{Conn: brief})
			runtime.Goexit()
		}),
		"Serve": &Endpoint{Serve: func(*Conn) { runtime.Goexit() }, Accept: AcceptOptions{Conn: brief}},
		"Open": &Endpoint{
			Open:  func(Sender) Receiver { runtime.Goexit(); return nil },
			Admit: func(*http.Request) (*Admission, error) { return &Admission{Options: &brief}, nil },
		},
	} {
		s := &Server{HTTP: &http.Server{Handler: h}}
		if name == "Open" {
			s.loops.stop(false)
		}
		s.Panicked = func(v any, _ []byte) { t.Errorf("%s: reported as a panic: %v", name, v) }
		nc := dialRaw(t, serveOwn(t, s))
		io.WriteString(nc, sampleRequest+"\r\n")
		if _, err := io.ReadAll(nc); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the client is still waiting", name)
		}
	}
}

// The context of a request is canceled when the client disconnects before the 101, and contains the server.
func TestServer_RequestContext(t *testing.T) {
	gone := make(chan error, 1)
	var s *Server
	s = ownServer(&Endpoint{Serve: serveEcho, Admit: func(r *http.Request) (*Admission, error) {
		if r.Context().Value(http.ServerContextKey) != s.HTTP || r.Context().Value(http.LocalAddrContextKey) == nil {
			t.Error("the context lacks the server or its address")
		}
		ctx, cancel := context.WithTimeout(r.Context(), testTimeout)
		defer cancel()
		<-ctx.Done()
		gone <- ctx.Err()
		return nil, errors.New("too late")
	}})
	addr := serveOwn(t, s)
	nc := dialRaw(t, addr)
	io.WriteString(nc, sampleRequest+"\r\n")
	nc.Close()
	if err := bounded.Receive(t, gone); err != context.Canceled {
		t.Error(err)
	}
}

// Data that the client sends while its handler waits on the request's context is not lost.
func TestServer_EarlyWhileWatched(t *testing.T) {
	seen := make(chan struct{})
	addr := serveOwn(t, ownServer(&Endpoint{Serve: serveEcho, Admit: func(r *http.Request) (*Admission, error) {
		done := r.Context().Done()
		seen <- struct{}{}
		select {
		case <-done:
			t.Error("the context ended although the client is connected")
		case <-seen:
		}
		return nil, nil
	}}))
	nc := dialRaw(t, addr)
	frames := raw{t, nil, protocol.RoleClient}.frame(1, true, "early")
	io.WriteString(nc, sampleRequest+"\r\n"+string(frames))
	bounded.Receive(t, seen)
	nc.Write(frames)
	seen <- struct{}{}
	r, br := readResponse(t, nc)
	if r.StatusCode != 101 {
		t.Fatal(r)
	}
	expectEcho(t, br, "early")
	expectEcho(t, br, "early")
}

// Shutdown closes the connections that a plain handler accepted behind a Server, whether the Server or the wrapped http.Server has
// read the request.
func TestServer_ShutdownOfAccept(t *testing.T) {
	s := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		go echo(c) // the handler returns without waiting
	})}}
	addr := serveOwn(t, s)
	var conns []*Conn
	for _, long := range []string{"", strings.Repeat("x", 20<<10)} {
		c, err := Dial(bounded.Context(t), "ws://"+addr, &DialOptions{Proxy: noProxy, Header: http.Header{"X": {long}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		conns = append(conns, c)
	}
	shut := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		shut <- s.Shutdown(ctx)
	}()
	for _, c := range conns {
		if _, err := c.Read(bounded.Context(t)); CloseCode(err) != CodeGoingAway {
			t.Error(err)
		}
	}
	if err := bounded.Receive(t, shut); err != nil {
		t.Error(err)
	}
}

// RFC 9110 §7.8: the server sends the 100 before the 101.
func TestRFC9110_7_8_ExpectContinue(t *testing.T) {
	e, events := &Endpoint{Serve: serveEcho}, &Endpoint{Open: openEcho}
	t.Cleanup(func() { events.Shutdown(bounded.Context(t)) }) // behind an http.Server, an Endpoint runs its own loops
	for _, addr := range []string{serve(t, e), serveOwn(t, ownServer(e)), serve(t, events), serveOwn(t, ownServer(events))} {
		nc := dialRaw(t, addr)
		io.WriteString(nc, sampleRequest+"Expect: 100-continue\r\n\r\n")
		r, br := readResponse(t, nc)
		if r.StatusCode != 100 {
			t.Fatal(r)
		}
		if r, err := http.ReadResponse(br, nil); err != nil || r.StatusCode != 101 {
			t.Error(r, err)
		}
	}
}

// Behind a middleware whose ResponseWriter does not support Hijack, the response contains the cause.
func TestAccept_NoHijack(t *testing.T) {
	errs := make(chan error, 1)
	addr := serve(t, http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := Accept(w, r, nil)
		errs <- err
	}), time.Minute, ""))
	r, _, _ := exchangeHead(t, addr, sampleRequest+"\r\n")
	if b, _ := io.ReadAll(r.Body); r.StatusCode != 500 || !strings.Contains(string(b), "Middleware in front") {
		t.Errorf("%d %q", r.StatusCode, b)
	}
	if err := bounded.Receive(t, errs); !errors.Is(err, http.ErrNotSupported) {
		t.Error(err)
	}
}

// The connections of an Endpoint with Open use an event loop if there is one: behind an http.Server, behind a Server, with TLS, and
// with a client address reported by a proxy. Shutdown of the Endpoint or the server closes them.
func TestEndpoint_OpenOnLoops(t *testing.T) {
	ls, err := newEventLoops(1)
	loops := err == nil
	if loops {
		ls.Stop()
	}
	seen := make(chan Sender, 1)
	build := func() *Endpoint {
		return &Endpoint{
			Accept: AcceptOptions{Subprotocols: []string{"b"}, Conn: ConnOptions{Compression: &Compression{}}},
			Open:   func(s Sender) Receiver { seen <- s; return echoReceiver{s} },
		}
	}
	named := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	preface := func(context.Context, net.Conn) (net.Addr, error) { return named, nil }
	for name, run := range map[string]func(e *Endpoint) (addr string, shutdown func(context.Context) error){
		"http.Server": func(e *Endpoint) (string, func(context.Context) error) { return serve(t, e), e.Shutdown },
		"Server, direct": func(e *Endpoint) (string, func(context.Context) error) {
			s := ownServer(e)
			return serveOwn(t, s), s.Shutdown
		},
		"Server, Admit": func(e *Endpoint) (string, func(context.Context) error) {
			e.Admit = func(*http.Request) (*Admission, error) { return &Admission{Open: e.Open}, nil }
			return serveOwn(t, ownServer(e)), e.Shutdown
		},
		"Preface": func(e *Endpoint) (string, func(context.Context) error) {
			s := ownServer(e)
			s.Preface = preface
			return serveOwn(t, s), s.Shutdown
		},
		"TLS": func(e *Endpoint) (string, func(context.Context) error) {
			s := ownServer(e)
			s.Preface = preface
			s.HTTP.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			return serveOn(t, s, ln, func(l net.Listener) error { return s.ServeTLS(l, "", "") }), s.Shutdown
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := build()
			ended := make(chan string, 1)
			e.Ended = func(remote string, err *CloseError) { ended <- remote + ": " + err.Code.String() }
			addr, shutdown := run(e)
			scheme := "ws://"
			if name == "TLS" {
				scheme = "wss://"
			}
			c, err := Dial(bounded.Context(t), scheme+addr, &DialOptions{Proxy: noProxy, Subprotocols: []string{"a", "b"},
				TLS: &tls.Config{InsecureSkipVerify: true}, Conn: ConnOptions{Compression: &Compression{}}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			s := bounded.Receive(t, seen)
			if _, onLoop := s.(*eventConn); onLoop != loops {
				t.Errorf("served by a %T", s)
			}
			remote := s.RemoteAddr().String()
			if s.Subprotocol() != "b" || remote == "" || (name == "TLS" || name == "Preface") != (remote == named.String()) {
				t.Errorf("%q, %q", s.Subprotocol(), remote)
			}
			long := strings.Repeat("long ", 10_000)
			if err := c.Write(bounded.Context(t), Message{Text, []byte(long)}); err != nil {
				t.Error(err)
			}
			if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != long {
				t.Errorf("%d bytes came back (%v)", len(m.Data), err)
			}
			shut := make(chan error, 1)
			go func() { shut <- shutdown(bounded.Context(t)) }()
			if _, err := c.Read(bounded.Context(t)); CloseCode(err) != CodeGoingAway {
				t.Error(err)
			}
			if err := bounded.Receive(t, shut); err != nil {
				t.Error(err)
			}
			if got := bounded.Receive(t, ended); got != remote+": "+CodeGoingAway.String() {
				t.Errorf("ended: %s", got)
			}
		})
	}
}
