package websocket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/transport"
	"github.com/handfast/handfast/websocket/protocol"
)

// closeTest is a connection and its peer, which a test controls during the closing handshake.
type closeTest struct {
	testing.TB
	conn       Sender
	peer       raw
	ended      chan *CloseError   // receives the final error once
	cancelRead context.CancelFunc // cancels the context of the Read; nil if there is none
}

func newCloseTest(t testing.TB) *closeTest {
	return &closeTest{TB: t, ended: make(chan *CloseError, 1)}
}

// readToEnd calls Read on c, and sends the final error of the connection to ended.
func (a *closeTest) readToEnd(ctx context.Context, c *Conn) {
	c.Read(ctx) //nolint:errcheck // the test checks the final error of the connection
	<-c.Context().Done()
	e, _ := errors.AsType[*CloseError](context.Cause(c.Context()))
	a.ended <- e
}

// closeWriteSide closes the write side of the TCP connection, so that later writes to the peer fail.
func (a *closeTest) closeWriteSide() {
	a.Helper()
	var err error
	switch c := a.conn.(type) {
	case *eventConn:
		c.inbox.outbox.link.fd.Lock()
		c.inbox.outbox.link.fd.CloseWrite()
		c.inbox.outbox.link.fd.Unlock()
	case *Conn:
		nc := c.stream.Below().(net.Conn)
		if over, ok := nc.(*tls.Conn); ok {
			nc = over.NetConn()
		}
		if accepted, ok := nc.(*transport.Accepted); ok {
			nc = accepted.Conn
		}
		err = nc.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		a.Fatal(err)
	}
}

const answerPad = 8 << 20 // more than the socket buffers hold

// fill sends a message that does not fit into the socket buffers.
func (a *closeTest) fill() {
	a.Helper()
	if err := a.conn.Send(Message{Binary, make([]byte, answerPad)}); err != nil {
		a.Fatal(err)
	}
}

// drainPeer makes the peer read the message that fill sent.
func (a *closeTest) drainPeer() {
	a.Helper()
	if h, p := a.peer.next(); h.Opcode != frame.Binary || len(p) != answerPad {
		a.Errorf("the peer got %+v", h)
	}
}

func (a *closeTest) sendPeerClose(code Code, reason string) {
	a.Helper()
	a.peer.send(a.peer.frame(frame.Close, true, closeBody(code, reason)))
}

// resetPeer makes the peer reset the TCP connection.
func (a *closeTest) resetPeer() {
	nc := a.peer.Conn
	if over, ok := nc.(*tls.Conn); ok {
		nc = over.NetConn()
	}
	nc.(*net.TCPConn).SetLinger(0)
	nc.Close()
}

// startClose starts the closing handshake at this end.
func (a *closeTest) startClose(code Code) {
	a.Helper()
	if err := a.conn.Shut(code, "ours"); err != nil {
		a.Fatal(err)
	}
}

// setPeer makes nc the peer's end of the connection.
func (a *closeTest) setPeer(nc net.Conn, role protocol.Role) {
	a.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(time.Minute))
	a.peer = raw{a.TB, nc, role}
}

// upgrade opens a WebSocket connection with a handwritten request.
func (a *closeTest) upgrade(addr string) {
	a.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		a.Fatal(err)
	}
	a.setPeer(nc, protocol.RoleClient)
	a.peer.send([]byte(evRequest + "\r\n"))
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := io.ReadFull(nc, b[:]); err != nil {
			a.Fatalf("the answer is %q, %v", head, err)
		}
		head = append(head, b[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		a.Fatalf("the answer is %q", head)
	}
}

// closeTestReceiver is the Receiver of an event connection.
type closeTestReceiver struct{ a *closeTest }

func (closeTestReceiver) Message(Message) error  { return nil }
func (r closeTestReceiver) Closed(e *CloseError) { r.a.ended <- e }

// answeringDrivers maps each way of opening a connection to a function that does so.
var answeringDrivers = map[string]func(t *testing.T, opts ConnOptions) *closeTest{
	"Accept": func(t *testing.T, opts ConnOptions) *closeTest {
		return closeTestServer(t, func(serve func(*Conn), _ func(Sender) Receiver) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if c, err := Accept(w, r, &AcceptOptions{Conn: opts}); err == nil {
					serve(c)
				}
			})
		})
	},
	"Server": func(t *testing.T, opts ConnOptions) *closeTest {
		return closeTestServer(t, func(serve func(*Conn), _ func(Sender) Receiver) http.Handler {
			return &Endpoint{Accept: AcceptOptions{Conn: opts}, Serve: serve}
		})
	},
	"event loop": func(t *testing.T, opts ConnOptions) *closeTest {
		return closeTestServer(t, func(_ func(*Conn), open func(Sender) Receiver) http.Handler {
			return &Endpoint{Accept: AcceptOptions{Conn: opts}, Open: open}
		})
	},
	"Dial": func(t *testing.T, opts ConnOptions) *closeTest {
		a := newCloseTest(t)
		near, far := tcpPair(t)
		a.setPeer(far, protocol.RoleServer)
		answered := make(chan error, 1)
		go func() {
			r, err := http.ReadRequest(bufio.NewReader(far))
			if err == nil {
				const answer = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {{ACCEPT}}\r\n\r\n"
				_, err = far.Write(fillPlaceholders([]byte(answer), r.Header.Get("Sec-WebSocket-Key")))
			}
			answered <- err
		}()
		c, err := Dial(bounded.Context(t), "ws://127.0.0.1/", &DialOptions{Conn: opts, Proxy: noProxy,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }})
		if err := errors.Join(err, bounded.Receive(t, answered)); err != nil {
			t.Fatal(err)
		}
		a.startReading(c)
		return a
	},
	"NewConn over TLS": func(t *testing.T, opts ConnOptions) *closeTest {
		a := newCloseTest(t)
		client, server := closeTestTLS(t)
		a.setPeer(client, protocol.RoleClient)
		a.startReading(overStream(server, protocol.RoleServer, &opts))
		return a
	},
	"event loop over TLS": func(t *testing.T, opts ConnOptions) *closeTest {
		a := newCloseTest(t)
		client, server := closeTestTLS(t)
		a.setPeer(client, protocol.RoleClient)
		ls := NewEventLoops(t)
		if ls == nil {
			a.startReading(overStream(server, protocol.RoleServer, &opts))
			return a
		}
		opened := make(chan Sender, 1)
		if err := ls.Adopt(server, &opts, func(s Sender) Receiver { opened <- s; return closeTestReceiver{a} }); err != nil {
			t.Fatal(err)
		}
		a.conn = bounded.Receive(t, opened)
		return a
	},
}

// startReading reads from c in a goroutine, and closes c when the test ends.
func (a *closeTest) startReading(c *Conn) {
	ctx, cancel := context.WithCancel(a.Context())
	a.conn, a.cancelRead = c, cancel
	done := make(chan struct{})
	go func() { defer close(done); a.readToEnd(ctx, c) }()
	a.Cleanup(func() { c.CloseNow(); bounded.Receive(a.TB, done) })
}

// closeTestServer opens a connection with a Server. The handler function gets one callback that serves a Conn, and one that opens a
// Sender.
func closeTestServer(t *testing.T, handler func(func(*Conn), func(Sender) Receiver) http.Handler) *closeTest {
	a := newCloseTest(t)
	opened := make(chan Sender, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	h := handler(
		func(c *Conn) { a.cancelRead = cancel; opened <- c; a.readToEnd(ctx, c) },
		func(s Sender) Receiver { opened <- s; return closeTestReceiver{a} })
	s := &Server{HTTP: &http.Server{Handler: h}}
	a.upgrade(serveOwn(t, s))
	a.conn = bounded.Receive(t, opened)
	t.Cleanup(func() { a.conn.CloseNow() })
	return a
}

// closeTestTLS returns the two ends of a TLS connection.
func closeTestTLS(t *testing.T) (client, server *tls.Conn) {
	t.Helper()
	near, far := tcpPair(t)
	server = tls.Server(UnderTLS(far), &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}})
	client = tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), bounded.Receive(t, done)); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// The closing handshake is complete once both close frames exist and the kernel has accepted ours. Only then does the CloseError
// have no Err. Later events on the TCP connection make no difference.
var closeTests = []struct {
	name    string
	timeout time.Duration // CloseTimeout; 0 means longer than the test
	read    bool          // the case requires a Read that can be interrupted
	play    func(a *closeTest)
	code    Code
	byPeer  bool
	clean   bool
}{
	{"the answer is written", 0, false, func(a *closeTest) {
		a.sendPeerClose(CodeNormal, "theirs")
		a.peer.expectClose(CodeNormal)
		a.peer.Conn.Close()
	}, CodeNormal, true, true},
	{"the answer fails", 0, false, func(a *closeTest) {
		a.closeWriteSide()
		a.sendPeerClose(CodeNormal, "theirs")
	}, CodeNormal, true, false},
	{"the data before the answer cannot be written", 0, false, func(a *closeTest) {
		a.fill()
		a.sendPeerClose(CodeNormal, "theirs")
		a.resetPeer()
	}, CodeNormal, true, false},
	{"the answer is blocked until CloseTimeout", 50 * time.Millisecond, false, func(a *closeTest) {
		a.fill()
		a.sendPeerClose(CodeNormal, "theirs")
	}, CodeNormal, true, false},
	{"the answer is blocked for a while", 0, false, func(a *closeTest) {
		a.fill()
		a.sendPeerClose(CodeNormal, "theirs")
		a.drainPeer()
		a.peer.expectClose(CodeNormal)
		a.peer.Conn.Close()
	}, CodeNormal, true, true},
	{"the peer shuts down its direction while the answer is blocked", 0, false, func(a *closeTest) {
		a.fill()
		a.sendPeerClose(CodeNormal, "theirs")
		a.peer.Conn.(interface{ CloseWrite() error }).CloseWrite()
		a.drainPeer()
		a.peer.expectClose(CodeNormal)
		a.peer.Conn.Close()
	}, CodeNormal, true, true},
	{"the peer resets TCP after the answer", 0, false, func(a *closeTest) {
		a.sendPeerClose(CodeNormal, "theirs")
		a.peer.expectClose(CodeNormal)
		a.resetPeer()
	}, CodeNormal, true, true},
	{"the peer keeps TCP open after the answer", 0, false, func(a *closeTest) {
		a.sendPeerClose(CodeNormal, "theirs")
		a.peer.expectClose(CodeNormal)
	}, CodeNormal, true, true},
	{"CloseNow while the answer is blocked", 0, false, func(a *closeTest) {
		a.fill()
		a.sendPeerClose(CodeNormal, "theirs")
		a.conn.CloseNow() //nolint:errcheck // CloseNow always returns nil
	}, CodeAbnormal, false, false},
	{"we began, and the peer answers", 0, false, func(a *closeTest) {
		a.startClose(CodeGoingAway)
		a.peer.expectClose(CodeGoingAway)
		a.sendPeerClose(CodeNormal, "theirs")
		a.peer.Conn.Close()
	}, CodeGoingAway, false, true},
	{"we began, and the peer answers and resets TCP", 0, false, func(a *closeTest) {
		a.startClose(CodeGoingAway)
		a.peer.expectClose(CodeGoingAway)
		a.sendPeerClose(CodeNormal, "theirs")
		a.resetPeer()
	}, CodeGoingAway, false, true},
	{"we began, and the peer answers and keeps TCP open beyond CloseTimeout", 500 * time.Millisecond, false, func(a *closeTest) {
		a.startClose(CodeGoingAway)
		a.peer.expectClose(CodeGoingAway)
		a.sendPeerClose(CodeNormal, "theirs")
	}, CodeGoingAway, false, true},
	{"our close frame cannot be written", 0, false, func(a *closeTest) {
		a.closeWriteSide()
		a.startClose(CodeGoingAway)
		a.sendPeerClose(CodeNormal, "theirs")
	}, CodeGoingAway, false, false},
	{"our close frame cannot be written, and the peer is silent", 50 * time.Millisecond, false, func(a *closeTest) {
		a.closeWriteSide()
		a.startClose(CodeGoingAway)
	}, CodeGoingAway, false, false},
	{"both began, and our frame is blocked until CloseTimeout", 50 * time.Millisecond, false, func(a *closeTest) {
		a.fill()
		a.startClose(CodeGoingAway)
		a.sendPeerClose(CodeNormal, "theirs")
	}, CodeGoingAway, false, false},
	{"the context of Read ends while the answer is blocked until CloseTimeout", 50 * time.Millisecond, true, func(a *closeTest) {
		a.fill()
		a.sendPeerClose(CodeNormal, "theirs")
		a.cancelReadAfterClose()
	}, CodeNormal, true, false},
	{"the context of Read ends while the answer is blocked for a while", 0, true, func(a *closeTest) {
		a.fill()
		a.sendPeerClose(CodeNormal, "theirs")
		a.cancelReadAfterClose()
		a.drainPeer()
		a.peer.expectClose(CodeNormal)
		a.peer.Conn.Close()
	}, CodeNormal, true, true},
	{"the context of Read ends, and the answer fails", 0, true, func(a *closeTest) {
		a.fill()
		a.sendPeerClose(CodeNormal, "theirs")
		a.cancelReadAfterClose()
		a.resetPeer()
	}, CodeNormal, true, false},
}

// cancelReadAfterClose cancels the context of the Read after the peer's close frame has been read.
func (a *closeTest) cancelReadAfterClose() {
	a.Helper()
	bounded.Until(a.TB, a.conn.(*Conn).isClosing)
	a.cancelRead()
}

func TestRFC6455_7_1_4_CleanOnlyWithBothCloseFrames(t *testing.T) {
	for name, open := range answeringDrivers {
		for _, tt := range closeTests {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				t.Parallel() // some cases wait in real time
				opts := ConnOptions{CloseTimeout: tt.timeout, PingInterval: -1, QueueBytes: 64 << 20, MaxMessage: -1}
				if tt.timeout == 0 {
					opts.CloseTimeout = time.Minute
				}
				a := open(t, opts)
				if tt.read && a.cancelRead == nil {
					return
				}
				tt.play(a)
				e := bounded.Receive(t, a.ended)
				if e.Code != tt.code || e.ByPeer != tt.byPeer {
					t.Errorf("ended with %v, want %v, by the peer: %t", e, tt.code, tt.byPeer)
				}
				if e.Clean() != tt.clean {
					t.Errorf("Clean is %t for: %v", e.Clean(), e)
				}
			})
		}
	}
}

// TestRFC6455_7_1_1_NoResetBehindTheAnswer checks that a peer that keeps sending after its close frame receives our close frame and
// EOF. Closing a socket with unread bytes would reset the connection, which can destroy our close frame.
func TestRFC6455_7_1_1_NoResetBehindTheAnswer(t *testing.T) {
	for name, open := range answeringDrivers {
		t.Run(name, func(t *testing.T) {
			a := open(t, ConnOptions{PingInterval: -1})
			a.peer.send(append(a.peer.frame(frame.Close, true, closeBody(CodeNormal, "theirs")), make([]byte, 100<<10)...))
			a.peer.expectClose(CodeNormal)
			if b, err := io.ReadAll(a.peer.Conn); err != nil || len(b) > 0 {
				t.Errorf("the stream ends with %q, %v", b, err)
			}
			a.peer.Conn.Close()
			if e := bounded.Receive(t, a.ended); !e.Clean() {
				t.Error(e)
			}
		})
	}
}
