package wstest_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// misbehaviors contains actions of a Peer, with the Conn's close code. The code is 0 if the action is not a violation.
var misbehaviors = []struct {
	clause string
	do     func(*wstest.Peer) error
	want   websocket.Code
	text   string // text that the error must contain
}{
	{"5.1 masked, or not, against the rule for the role", sends(wstest.Frame{Opcode: frame.Text, WrongMask: true}), 1002, "§5.1"},
	{"5.2 RSV1 without an extension", sends(wstest.Frame{Opcode: frame.Text, RSV: frame.RSV1}), 1002, "§5.2"},
	{"5.2 RSV2", sends(wstest.Frame{Opcode: frame.Text, RSV: frame.RSV2}), 1002, "§5.2"},
	{"5.2 RSV3 on a ping", sends(wstest.Frame{Opcode: frame.Ping, RSV: frame.RSV3}), 1002, "§5.2"},
	{"5.2 reserved opcode", sends(wstest.Frame{Opcode: 0x3}), 1002, "§5.2"},
	{"5.2 reserved control opcode", sends(wstest.Frame{Opcode: 0xB}), 1002, "§5.2"},
	{"5.2 16-bit length that fits into 7", sends(wstest.Frame{Opcode: frame.Binary, Payload: []byte("short"), LengthSize: 2}), 1002, "§5.2"},
	{"5.2 64-bit length that fits into 16", sends(wstest.Frame{Opcode: frame.Binary, Payload: []byte("short"), LengthSize: 8}), 1002, "§5.2"},
	{"5.2 64-bit length with its top bit", sends(wstest.Frame{Opcode: frame.Binary, Length: 1 << 63}), 1002, "§5.2"},
	{"5.4 continuation of nothing", sends(wstest.Frame{Opcode: frame.Continuation}), 1002, "§5.4"},
	{"5.4 a message within a message", sends(wstest.Frame{Opcode: frame.Text, More: true}, wstest.TextFrame("x")), 1002, "§5.4"},
	{"5.5 control frame in fragments", sends(wstest.Frame{Opcode: frame.Ping, More: true}), 1002, "§5.5"},
	{"5.5 control frame too long", sends(wstest.Frame{Opcode: frame.Ping, Payload: make([]byte, 126)}), 1002, "§5.5"},
	{"8.1 text that is not UTF-8", sends(wstest.TextFrame("\xff")), 1007, "§8.1"},
	{"7.4 code that must not be sent", sends(wstest.CloseFrame(websocket.CodeAbnormal, "")), 1002, "§7.4"},
	{"7.4 invalid code", sends(wstest.CloseFrame(65535, "")), 1002, "§7.4"},
	{"5.5.1 half a code", sends(wstest.Frame{Opcode: frame.Close, Payload: []byte{3}}), 1002, "§5.5.1"},
	{"8.1 reason that is not UTF-8", sends(wstest.CloseFrame(1000, "\xff")), 1007, "§8.1"},
	{"10.4 announced length above the limit", sends(wstest.Frame{Opcode: frame.Binary, Length: 1 << 40}), 1009, "§10.4"},
	{"garbage", func(p *wstest.Peer) error {
		_, err := p.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		return err
	}, 1002, ""},
	{"a truncated frame", func(p *wstest.Peer) error {
		whole := p.Append(nil, wstest.TextFrame("whole"))
		_, err := p.Write(whole[:len(whole)-2])
		p.Close()
		return err
	}, 1006, "frame"},
	{"a reset in a frame", func(p *wstest.Peer) error {
		_, err := p.Write(p.Append(nil, wstest.TextFrame("whole"))[:1])
		return errors.Join(err, p.Reset())
	}, 1006, "reset"},
	{"half closed, without a close frame", (*wstest.Peer).CloseWrite, 1006, "without a close frame"},
	{"a frame byte by byte", func(p *wstest.Peer) error {
		return p.Drip(p.Append(nil, wstest.Frame{Opcode: frame.Text, More: true, Payload: []byte("dr")},
			wstest.Frame{Opcode: frame.Ping, Payload: []byte("in between")},
			wstest.Frame{Opcode: frame.Continuation, Payload: []byte("ip")}), 0)
	}, 0, ""},
}

func sends(frames ...wstest.Frame) func(*wstest.Peer) error {
	return func(p *wstest.Peer) error { return p.Send(frames...) }
}

func TestPeerMisbehaves(t *testing.T) {
	for _, role := range []protocol.Role{protocol.RoleClient, protocol.RoleServer} {
		for _, tt := range misbehaviors {
			t.Run(role.String()+"/"+tt.clause, func(t *testing.T) {
				p, c := wstest.PipePeer(t, role, nil)
				did := make(chan error, 1)
				go func() {
					err := tt.do(p)
					if tt.want != websocket.CodeAbnormal && tt.want != 0 {
						err = errors.Join(err, wantCloseFrame(p, tt.want))
					}
					did <- err
				}()
				m, err := c.Read(bounded.Context(t))
				if tt.want == 0 && (err != nil || string(m.Data) != "drip") {
					t.Errorf("Read = %q, %v", m.Data, err)
				}
				if websocket.CloseCode(err) != tt.want {
					t.Errorf("the Conn ended with %v, want code %v", err, tt.want)
				}
				if err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("the error does not contain %q: %v", tt.text, err)
				}
				if err := bounded.Receive(t, did); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// wantCloseFrame reads until it receives a close frame with code, and closes the stream.
func wantCloseFrame(p *wstest.Peer, code websocket.Code) error {
	defer p.Close()
	for {
		f, err := p.Next()
		if err != nil {
			return err
		}
		if f.Code() == code {
			return nil
		}
		if f.Opcode == frame.Close {
			return errors.New("got " + f.String())
		}
	}
}

// A Peer sends frames of every kind, which another Peer receives unchanged.
func TestPeerSendsWhatAPeerReads(t *testing.T) {
	frames := []wstest.Frame{
		wstest.TextFrame("hello"), wstest.TextFrame(""), wstest.BinaryFrame(make([]byte, 125)), wstest.BinaryFrame(make([]byte, 126)),
		wstest.BinaryFrame(make([]byte, 65535)), wstest.BinaryFrame(make([]byte, 65536)), wstest.CloseFrame(1006, "no"),
		{Opcode: frame.Text, More: true, RSV: frame.RSV1 | frame.RSV3}, {Opcode: 0xF, WrongMask: true, Payload: []byte("abc")},
		{Opcode: frame.Pong, Payload: make([]byte, 200), Key: [4]byte{1, 2, 3, 4}},
	}
	for _, role := range []protocol.Role{protocol.RoleClient, protocol.RoleServer} {
		near, far := wstest.NetPipe(1 << 20)
		from, to := wstest.NewPeer(near, role), wstest.NewPeer(far, 1-role)
		if err := from.Send(frames...); err != nil {
			t.Fatal(err)
		}
		from.Close()
		for _, want := range frames {
			got, err := to.Next()
			if err != nil || got.String() != want.String() || string(got.Payload) != string(want.Payload) {
				t.Errorf("%v: got %v, %v; want %v", role, got, err, want)
			}
			masked := (role == protocol.RoleClient) != want.WrongMask
			if masked != (got.Key != [4]byte{}) || want.Key != [4]byte{} && masked && got.Key != want.Key {
				t.Errorf("%v: %v has the key %v", role, got, got.Key)
			}
		}
		if _, err := to.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%v: after the last frame: %v", role, err)
		}
		to.Close()
	}
}

func TestPeerReportsTruncatedFrames(t *testing.T) {
	near, _ := wstest.NetPipe(0)
	whole := wstest.NewPeer(near, protocol.RoleClient).Append(nil, wstest.BinaryFrame(make([]byte, 300)))
	near.Close()
	for _, n := range []int{1, 2, 3, 7, 8, 9, len(whole) - 1} {
		near, far := wstest.NetPipe(0)
		p := wstest.NewPeer(far, protocol.RoleServer)
		write(t, near, string(whole[:n]))
		near.Close()
		if f, err := p.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v, %v", n, len(whole), f, err)
		}
		p.Close()
	}
}

// A frame without a payload has two bytes, and Next does not wait for more.
func TestPeerReadsTheShortestFrame(t *testing.T) {
	near, far := wstest.NetPipe(0)
	p := wstest.NewPeer(far, protocol.RoleClient)
	defer p.Close()
	write(t, near, "\x89\x00")
	near.Close()
	if f, err := p.Next(); err != nil || f.Opcode != frame.Ping || len(f.Payload) > 0 {
		t.Errorf("%v, %v", f, err)
	}
	if f, err := p.Next(); err != io.EOF { //nolint:errorlint // Next returns io.EOF unwrapped, as documented
		t.Errorf("after the frame: %v, %v", f, err)
	}
}

func TestPeerReportsMalformedLengths(t *testing.T) {
	for _, f := range []wstest.Frame{{Payload: []byte("a"), LengthSize: 2}, {Payload: []byte("a"), LengthSize: 8}, {Length: 1 << 63}} {
		near, far := wstest.NetPipe(0)
		from, to := wstest.NewPeer(near, protocol.RoleClient), wstest.NewPeer(far, protocol.RoleServer)
		if err := from.Send(f); err != nil {
			t.Fatal(err)
		}
		if got, err := to.Next(); !errors.Is(err, frame.ErrLengthNotMinimal) && !errors.Is(err, frame.ErrLengthTopBit) {
			t.Errorf("%v: got %v, %v", f, got, err)
		}
		from.Close()
		to.Close()
	}
}

// A Peer whose methods are not called stalls: it does not reply to pings, which keepalive detects.
func TestPeerStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := &wstest.Options{}
		opts.Server.PingInterval = 10 * time.Second
		p, c := wstest.PipePeer(t, protocol.RoleClient, opts)
		begun := time.Now()
		<-c.Context().Done()
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("a silent peer was noticed after %v", took)
		}
		if f, err := p.Next(); err != nil || f.Opcode != frame.Ping {
			t.Errorf("got %v, %v; want the ping", f, err)
		}
	})
}

func TestPeerDripsInTime(t *testing.T) {
	for _, pause := range []time.Duration{0, 1, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p, c := wstest.PipePeer(t, protocol.RoleServer, nil)
			begun := time.Now()
			bytes := p.Append(nil, wstest.TextFrame("slow"))
			did := make(chan error, 1)
			go func() { did <- p.Drip(bytes, pause) }()
			m, err := c.Read(t.Context())
			if err != nil || string(m.Data) != "slow" {
				t.Errorf("Read = %q, %v", m.Data, err)
			}
			if took := time.Since(begun); took != time.Duration(len(bytes)-1)*pause {
				t.Errorf("%d bytes took %v", len(bytes), took)
			}
			if err := <-did; err != nil {
				t.Error(err)
			}
		})
	}
}

// Drip returns an error if the other end does not read until the deadline, or is closed.
func TestPeerDripIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := ends(t, 0)
		p := wstest.NewPeer(near, protocol.RoleClient)
		p.SetDeadline(time.Now().Add(time.Minute))
		if err := p.Drip([]byte("ab"), 0); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Drip: %v", err)
		}
		far.Close()
		p.SetDeadline(time.Time{})
		if err := p.Drip([]byte("ab"), 0); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Drip to an end that is closed: %v", err)
		}
	})
}

// A byte is sent when the previous one has been read. A byte that has not been read when the other end closes is lost, as on a
// network.
func TestPeerDripsByteByByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := ends(t, 0)
		p := wstest.NewPeer(near, protocol.RoleClient)
		did := make(chan error, 1)
		drip := func(s string) {
			go func() { did <- p.Drip([]byte(s), 0) }()
			synctest.Wait()
		}
		drip("abc")
		for _, b := range []string{"a", "b", "c"} {
			if len(did) != 0 {
				t.Errorf("Drip returned before %s was read", b)
			}
			wantRead(t, far, 8, b)
			synctest.Wait()
		}
		if err := bounded.Receive(t, did); err != nil {
			t.Error(err)
		}
		drip("d")
		far.Close()
		if err := bounded.Receive(t, did); err != nil {
			t.Errorf("the last byte: %v", err)
		}
	})
}

func TestPeerOverTCP(t *testing.T) {
	plain := func(nc net.Conn) net.Conn { return nc }
	overTLS := func(nc net.Conn) net.Conn { return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) }
	tests := []struct {
		name string
		over func(net.Conn) net.Conn
		end  func(*wstest.Peer) error
		want error
	}{
		{"reset", plain, (*wstest.Peer).Reset, syscall.ECONNRESET},
		{"reset TLS", overTLS, (*wstest.Peer).Reset, syscall.ECONNRESET},
		{"close", plain, func(p *wstest.Peer) error { p.Close(); return nil }, io.EOF},
		{"close TLS", overTLS, func(p *wstest.Peer) error { p.Close(); return nil }, io.EOF},
		{"close one direction", plain, (*wstest.Peer).CloseWrite, io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			near, far := tcpPair(t)
			p := wstest.NewPeer(tt.over(near), protocol.RoleClient)
			if err := tt.end(p); err != nil {
				t.Fatal(err)
			}
			wantReadError(t, far, tt.want)
		})
	}
}

// plainStream hides the methods of a stream that are not part of net.Conn, such as CloseWrite.
type plainStream struct{ net.Conn }

func TestPeerOverAnyStream(t *testing.T) {
	near, far := ends(t, 0)
	p := wstest.NewPeer(plainStream{near}, protocol.RoleClient)
	if err := p.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite: %v", err)
	}
	if err := p.Send(wstest.TextFrame("still here")); err != nil {
		t.Errorf("Send: %v", err)
	}
	if err := p.Reset(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Reset: %v", err)
	}
	got, err := io.ReadAll(far)
	if err != nil || len(got) == 0 {
		t.Errorf("the other end read %d bytes, %v", len(got), err)
	}
}

// tcpPair returns the two ends of a connection on loopback. They are closed when the test ends.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { check(t, ln.Close()) }()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}
