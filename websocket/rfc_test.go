package websocket_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/drivertest"
	"github.com/handfast/handfast/websocket/protocol"
)

// The tests in this file check the requirements of RFC 6455 for a connection from the other end of its socket.

// wire is the other end of a Conn's socket. It reads and writes frames without enforcing any rules.
type wire struct {
	t    *testing.T
	conn net.Conn
	mask bool // the wire is the client, and masks its frames
}

// dialRaw returns a Conn in the given role over TCP, and the other end of the socket. Both are closed when the test ends.
func dialRaw(t *testing.T, role protocol.Role, opts *websocket.ConnOptions) (*websocket.Conn, *wire) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// A passing test never waits this long.
	if err := far.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := drivertest.Conn(t, near, role, opts)
	t.Cleanup(func() { c.CloseNow(); far.Close() })
	return c, &wire{t: t, conn: far, mask: role == protocol.RoleServer}
}

// send writes one frame.
func (w *wire) send(h frame.Header, payload string) {
	w.t.Helper()
	h.Length = int64(len(payload))
	p := []byte(payload)
	if w.mask {
		h.Masked, h.Key = true, [4]byte{1, 2, 3, 4}
		frame.Mask(p, h.Key)
	}
	if _, err := w.conn.Write(append(frame.Append(nil, h), p...)); err != nil {
		w.t.Fatalf("the other end: %v", err)
	}
}

// next reads one frame and unmasks it. At EOF ok is false.
func (w *wire) next() (h frame.Header, payload string, ok bool) {
	w.t.Helper()
	var head []byte
	for {
		var b [1]byte
		if _, err := io.ReadFull(w.conn, b[:]); errors.Is(err, io.EOF) && len(head) == 0 {
			return h, "", false
		} else if err != nil {
			w.t.Fatalf("the other end, in a header: %v", err)
		}
		head = append(head, b[0])
		h, n, err := frame.Parse(head)
		if err != nil {
			w.t.Fatalf("the other end got a broken header: %v", err)
		}
		if n == 0 {
			continue
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(w.conn, p); err != nil {
			w.t.Fatalf("the other end, in a payload: %v", err)
		}
		if h.Masked {
			frame.Mask(p, h.Key)
		}
		return h, string(p), true
	}
}

// bothRoles runs a test for a server and for a client.
func bothRoles(t *testing.T, test func(t *testing.T, role protocol.Role)) {
	for _, role := range []protocol.Role{protocol.RoleServer, protocol.RoleClient} {
		t.Run(role.String(), func(t *testing.T) { test(t, role) })
	}
}

// sendEveryKind makes c send a frame of every kind and then closes it normally. If any step fails it closes c immediately, so that the
// other end does not wait for more.
func sendEveryKind(ctx context.Context, c *websocket.Conn) error {
	defer c.CloseNow()
	for _, m := range []websocket.Message{
		{Type: websocket.Text, Data: []byte("hello")},
		{Type: websocket.Binary, Data: bytes.Repeat([]byte{0xFF}, 70_000)},
		{Type: websocket.Text},
	} {
		if err := c.Write(ctx, m); err != nil {
			return err
		}
	}
	wr, err := c.Writer(ctx, websocket.Text)
	if err != nil {
		return err
	}
	for range 3 {
		if _, err := wr.Write(bytes.Repeat([]byte("stream"), 10_000)); err != nil {
			return err
		}
	}
	if err := wr.Close(); err != nil {
		return err
	}
	if _, err := c.Ping(ctx); err != nil {
		return err
	}
	return c.Close(websocket.CodeNormal, "enough")
}

// readAndReply replies to c's frames as a peer does, and returns all frames up to EOF.
func (w *wire) readAndReply() (heads []frame.Header, payloads []string) {
	w.t.Helper()
	for {
		h, p, ok := w.next()
		if !ok {
			return heads, payloads
		}
		heads, payloads = append(heads, h), append(payloads, p)
		switch h.Opcode {
		case frame.Ping:
			w.send(frame.Header{Fin: true, Opcode: frame.Pong}, p)
		case frame.Close:
			w.send(frame.Header{Fin: true, Opcode: frame.Close}, p)
			if err := w.conn.(*net.TCPConn).CloseWrite(); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// Every frame that a Conn sends, of whatever kind, follows the rules of sections 5 and 6.
func TestRFC6455_6_1_FramesOnTheWire(t *testing.T) {
	bothRoles(t, func(t *testing.T, role protocol.Role) {
		c, w := dialRaw(t, role, nil)
		spoke := make(chan error, 1)
		go func() { spoke <- sendEveryKind(t.Context(), c) }()
		heads, payloads := w.readAndReply()
		if err := bounded.Receive(t, spoke); err != nil {
			t.Fatal(err)
		}
		var messages []string
		var open bool
		for i, h := range heads {
			if h.Masked != (role == protocol.RoleClient) { // §5.1: only clients mask
				t.Errorf("frame %d: masked is %v", i, h.Masked)
			}
			if h.RSV != 0 { // §5.2: without an extension, the reserved bits are 0
				t.Errorf("frame %d: reserved bits %#x", i, h.RSV)
			}
			if h.Opcode.Control() {
				if !h.Fin || h.Length > frame.MaxControlPayload { // §5.5: a control frame is short and not fragmented
					t.Errorf("frame %d: a %v of %d bytes, fin %v", i, h.Opcode, h.Length, h.Fin)
				}
				continue
			}
			if (h.Opcode == frame.Continuation) != open { // §5.4: an open message is continued before the next one begins
				t.Errorf("frame %d: a %v, and a message is open: %v", i, h.Opcode, open)
			}
			if !open {
				messages = append(messages, h.Opcode.String()+":")
			}
			messages[len(messages)-1] += payloads[i]
			open = !h.Fin
		}
		want := []string{"text:hello", "binary:" + strings.Repeat("\xFF", 70_000), "text:", "text:" + strings.Repeat("stream", 30_000)}
		if open || len(messages) != len(want) {
			t.Fatalf("%d messages, want %d; one is open: %v", len(messages), len(want), open)
		}
		for i := range want {
			if messages[i] != want[i] {
				t.Errorf("message %d has %d bytes and begins %.20q; want %d and %.20q", i, len(messages[i]), messages[i],
					len(want[i]), want[i])
			}
		}
		if last := heads[len(heads)-1]; last.Opcode != frame.Close || payloads[len(payloads)-1] != "\x03\xe8enough" { // §7.1.2: the close frame is the last one
			t.Errorf("the last frame is a %v with %q", last.Opcode, payloads[len(payloads)-1])
		}
	})
}

// A client chooses a new key for every frame (§5.3, §10.3), including control frames and the fragments of a streamed message.
func TestRFC6455_5_3_FreshKeyForEveryFrame(t *testing.T) {
	c, w := dialRaw(t, protocol.RoleClient, nil)
	const n = 200
	spoke := make(chan error, 1)
	go func() {
		for range n {
			if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("the same")}); err != nil {
				spoke <- err
				return
			}
		}
		spoke <- sendEveryKind(t.Context(), c)
	}()
	heads, _ := w.readAndReply()
	if err := bounded.Receive(t, spoke); err != nil {
		t.Fatal(err)
	}
	if len(heads) < n {
		t.Fatalf("%d frames", len(heads))
	}
	seen := map[[4]byte]bool{}
	var ones [32]int // how often each bit is 1
	for _, h := range heads {
		seen[h.Key] = true
		for i := range ones {
			ones[i] += int(h.Key[i/8]>>(i%8)) & 1
		}
	}
	// The probability that two of 200 random keys are equal is 1 in 200,000, and for two such pairs it is 1 in 80 billion.
	if len(seen) < len(heads)-1 {
		t.Errorf("%d different keys in %d frames", len(seen), len(heads))
	}
	// The keys of a counter, and keys with fixed bits, have bits that never change. For random keys, the probability of such a bit is
	// below 2^-190.
	for i, k := range ones {
		if k == 0 || k == len(heads) {
			t.Errorf("bit %d of the key is the same in all frames", i)
		}
	}
}

// No data frame and no second close frame follow a close frame (§5.5.1, §6.1). Pings are answered until the peer's close frame has
// been received (§5.5.2).
func TestRFC6455_5_5_1_NoDataBehindTheCloseFrame(t *testing.T) {
	bothRoles(t, func(t *testing.T, role protocol.Role) {
		c, w := dialRaw(t, role, nil)
		closed := make(chan error, 1)
		go func() { closed <- c.Close(4000, "mine") }()
		h, p, ok := w.next()
		if !ok || h.Opcode != frame.Close || p != "\x0f\xa0mine" {
			t.Fatalf("the first frame is a %v with %q", h.Opcode, p)
		}
		// At this point the close frame has been sent, and the peer has not replied.
		var ce *websocket.CloseError
		err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("late")})
		if !errors.As(err, &ce) || ce.Code != 4000 || ce.ByPeer {
			t.Errorf("Write after Close: %v", err)
		}
		if _, err := c.Writer(bounded.Context(t), websocket.Text); err == nil {
			t.Error("Writer after Close: no error")
		}
		if _, err := c.Ping(bounded.Context(t)); err == nil {
			t.Error("Ping after Close: no error")
		}
		w.send(frame.Header{Fin: true, Opcode: frame.Ping}, "anybody there?")
		if h, p, ok := w.next(); !ok || h.Opcode != frame.Pong || p != "anybody there?" {
			t.Fatalf("the ping was answered with a %v and %q", h.Opcode, p)
		}
		w.send(frame.Header{Fin: true, Opcode: frame.Close}, p)
		if err := w.conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for h, _, ok := w.next(); ok; h, _, ok = w.next() {
			t.Errorf("a %v frame after both close frames", h.Opcode)
		}
		if err := bounded.Receive(t, closed); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// When both close frames have been exchanged, the TCP connection is closed. A server does not wait for the client (§5.5.1).
func TestRFC6455_5_5_1_TCPIsClosed(t *testing.T) {
	bothRoles(t, func(t *testing.T, role protocol.Role) {
		c, w := dialRaw(t, role, nil)
		w.send(frame.Header{Fin: true, Opcode: frame.Close}, "\x0f\xa1theirs")
		var ce *websocket.CloseError
		read := make(chan error, 1)
		go func() {
			_, err := c.Read(bounded.Context(t))
			read <- err
		}()
		h, p, ok := w.next()
		if !ok || h.Opcode != frame.Close || p != "\x0f\xa1theirs" {
			t.Fatalf("the answer is a %v with %q", h.Opcode, p)
		}
		if role == protocol.RoleClient { // a client may wait for the server to close TCP first
			if err := w.conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		if h, _, ok := w.next(); ok {
			t.Errorf("a %v frame after the answer", h.Opcode)
		}
		w.conn.Close()
		if err := bounded.Receive(t, read); !errors.As(err, &ce) || ce.Code != 4001 || ce.Reason != "theirs" || !ce.ByPeer || ce.Err != nil {
			t.Errorf("Read: %v", err)
		}
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text}); !errors.As(err, &ce) {
			t.Errorf("Write on a closed connection: %v", err)
		}
		if cause := context.Cause(c.Context()); !errors.As(cause, &ce) {
			t.Errorf("the cause of the Context is %v", cause)
		}
	})
}

// Failing the connection closes it, and later data is not processed (§7.1.7).
func TestRFC6455_7_1_7_FailClosesTheConnection(t *testing.T) {
	bothRoles(t, func(t *testing.T, role protocol.Role) {
		c, w := dialRaw(t, role, nil)
		w.send(frame.Header{Fin: true, Opcode: frame.Text}, "good")
		w.send(frame.Header{Fin: true, Opcode: 3}, "")
		w.send(frame.Header{Fin: true, Opcode: frame.Text}, "behind")
		w.send(frame.Header{Fin: true, Opcode: frame.Ping}, "behind")
		if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "good" {
			t.Fatalf("Read: %q, %v", m.Data, err)
		}
		read := make(chan error, 1)
		go func() {
			_, err := c.Read(bounded.Context(t))
			read <- err
		}()
		h, p, ok := w.next()
		if !ok || h.Opcode != frame.Close || !strings.HasPrefix(p, "\x03\xea") {
			t.Fatalf("the answer to a reserved opcode is a %v with %q", h.Opcode, p)
		}
		w.conn.(*net.TCPConn).CloseWrite()
		if h, _, ok := w.next(); ok {
			t.Errorf("a %v frame after the close frame", h.Opcode)
		}
		var ce *websocket.CloseError
		var pe *protocol.Violation
		err := bounded.Receive(t, read)
		if !errors.As(err, &ce) || ce.Code != websocket.CodeProtocolError || !errors.As(err, &pe) || pe.Section != "RFC 6455 §5.2" {
			t.Errorf("Read: %v", err)
		}
	})
}

// Losing the TCP connection fails the WebSocket connection with 1006, and every waiting call returns (§7.2.1, §7.1.5).
func TestRFC6455_7_2_1_LostConnection(t *testing.T) {
	bothRoles(t, func(t *testing.T, role protocol.Role) {
		c, w := dialRaw(t, role, nil)
		w.send(frame.Header{Opcode: frame.Text}, "the first fragment, and no other")
		w.conn.Close()
		var ce *websocket.CloseError
		_, err := c.Read(bounded.Context(t))
		if !errors.As(err, &ce) || ce.Code != websocket.CodeAbnormal || !ce.ByPeer || ce.Err == nil {
			t.Errorf("Read: %v", err)
		}
		<-c.Context().Done()
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text}); !errors.As(err, &ce) {
			t.Errorf("Write: %v", err)
		}
	})
}

// 1005, 1006, 1015 and invalid codes are never sent in a close frame (§7.4.1, §7.4.2).
func TestRFC6455_7_4_1_CodesThatAreNotSent(t *testing.T) {
	bothRoles(t, func(t *testing.T, role protocol.Role) {
		c, w := dialRaw(t, role, nil)
		for _, code := range []websocket.Code{0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65535} {
			if err := c.Close(code, ""); err == nil {
				t.Errorf("Close(%d) did not fail", code)
			}
		}
		// At this point the connection is still open. The first frame sent is a close frame without a code, which is the effect of
		// 1005.
		closed := make(chan error, 1)
		go func() { closed <- c.Close(websocket.CodeNoStatus, "") }()
		h, p, ok := w.next()
		if !ok || h.Opcode != frame.Close || p != "" {
			t.Fatalf("the first frame is a %v with %q", h.Opcode, p)
		}
		w.send(frame.Header{Fin: true, Opcode: frame.Close}, "")
		w.conn.(*net.TCPConn).CloseWrite()
		if err := bounded.Receive(t, closed); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// noProxy ignores the proxy settings of the environment.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// A client sends its handshake and then waits. It sends no further byte before the response has arrived (§4.1).
func TestRFC6455_4_1_NothingBeforeTheAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	sent := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			sent <- err.Error()
			return
		}
		defer conn.Close()
		br := bufio.NewReader(conn)
		if _, err := http.ReadRequest(br); err != nil {
			sent <- err.Error()
			return
		}
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		rest, err := io.ReadAll(br) // until the rejected client has closed, so that rest is everything that it sent
		if err != nil {
			rest = append(rest, err.Error()...)
		}
		sent <- string(rest)
	}()
	c, err := websocket.Dial(bounded.Context(t), "ws://"+ln.Addr().String()+"/", &websocket.DialOptions{Proxy: noProxy})
	var he *websocket.HandshakeError
	if !errors.As(err, &he) || he.Status != http.StatusOK {
		t.Errorf("Dial: %v, %v", c, err)
	}
	if rest := bounded.Receive(t, sent); rest != "" {
		t.Errorf("after the request: %q", rest)
	}
}

// tap records the bytes of both directions of a connection.
type tap struct {
	net.Conn
	mu      sync.Mutex
	in, out bytes.Buffer
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.Write(p[:n])
	return n, err
}

func (c *tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.out.Write(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// With TLS everything is encrypted, the handshakes of both sides and every frame (§4.1, §4.2.2, §10.6).
func TestRFC6455_10_6_EverythingThroughTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for m, err := range c.Messages(r.Context()) {
			if err != nil || c.Write(r.Context(), m) != nil {
				return
			}
		}
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	var wiretap *tap
	c, err := websocket.Dial(bounded.Context(t), strings.Replace(s.URL, "https", "wss", 1), &websocket.DialOptions{
		Proxy: noProxy,
		TLS:   &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			wiretap = &tap{Conn: conn}
			return wiretap, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	secret := websocket.Message{Type: websocket.Binary, Data: bytes.Repeat([]byte{0}, 1000)} // masked zeros would reveal the key
	if err := c.Write(bounded.Context(t), secret); err != nil {
		t.Fatal(err)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || !bytes.Equal(m.Data, secret.Data) {
		t.Fatalf("the echo has %d bytes: %v", len(m.Data), err)
	}
	if err := c.Close(websocket.CodeNormal, "a reason"); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"client": wiretap.out.Bytes(), "server": wiretap.in.Bytes()} {
		for n := 0; len(b) > 0; n++ { // RFC 8446 §5.1: type, version 3.x, length
			if len(b) < 5 || b[0] < 20 || b[0] > 23 || b[1] != 3 {
				t.Fatalf("%s: after %d records follows %.20q, which is not TLS", name, n, b)
			}
			b = b[min(len(b), 5+(int(b[3])<<8|int(b[4]))):]
		}
	}
	for _, plain := range []string{"GET /", "Upgrade", "101 Switching", "Sec-WebSocket", "a reason", strings.Repeat("\x00", 100)} {
		if bytes.Contains(wiretap.out.Bytes(), []byte(plain)) || bytes.Contains(wiretap.in.Bytes(), []byte(plain)) {
			t.Errorf("%q can be read on the wire", plain)
		}
	}
}
