package websocket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/internal/deflate"
	"github.com/handfast/handfast/websocket/protocol"
)

// compressedPair returns a client and a server that have negotiated compression, over TCP.
func compressedPair(t testing.TB, agreed handshake.Deflate, opts *ConnOptions) (client, server *Conn) {
	t.Helper()
	client, server = tcpConns(t, opts)
	compressLater(client, agreed, &Compression{})
	compressLater(server, agreed, &Compression{})
	return client, server
}

// compressLater enables compression on an open connection, while keepalive may be reading from it.
func compressLater(c *Conn, agreed handshake.Deflate, opts *Compression) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wait(context.Background(), &c.inbox.read) == nil {
		c.compress(agreed, opts)
		c.inbox.read.release()
	}
}

// rawCompressed connects a server that uses compression to a raw client.
func rawCompressed(t testing.TB, agreed handshake.Deflate, opts *ConnOptions) (*Conn, raw) {
	t.Helper()
	c, peer := rawTCP(t, protocol.RoleServer, opts)
	compressLater(c, agreed, &Compression{})
	return c, peer
}

// rsv1 sets the RSV1 bit of an encoded frame.
func rsv1(b []byte) []byte {
	b[0] |= frame.RSV1
	return b
}

// The example of RFC 7692 §7.2.3.2: "Hello" twice, the second time as a reference to the first.
const helloCompressed, helloAgain = "\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf2\x00\x11\x00\x00"

func TestRFC7692_7_2_3_2_ContextTakeover(t *testing.T) {
	c, peer := rawCompressed(t, handshake.Deflate{}, nil)
	peer.send(rsv1(peer.frame(frame.Text, true, helloCompressed)), rsv1(peer.frame(frame.Text, true, helloAgain)))
	for range 2 {
		if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "Hello" || m.Type != Text {
			t.Fatalf("%v %q, %v", m.Type, m.Data, err)
		}
	}
}

// TestCompressedEcho covers message sizes, kinds of data, ways to write and read, and negotiated parameters.
func TestCompressedEcho(t *testing.T) {
	agreements := map[string]handshake.Deflate{
		"takeover":       {},
		"no takeover":    {ServerNoTakeover: true, ClientNoTakeover: true},
		"small windows":  {ServerBits: 9, ClientBits: 10},
		"the smallest":   {ServerBits: 8, ClientBits: 8},
		"one side keeps": {ServerNoTakeover: true, ClientBits: 12},
	}
	random := rand.NewChaCha8([32]byte{})
	for name, agreed := range agreements {
		t.Run(name, func(t *testing.T) {
			client, server := compressedPair(t, agreed, &ConnOptions{MaxMessage: -1})
			go streamEcho(server)
			for i, size := range []int{0, 1, 127, 128, 1000, 1000, 5000, 40_000, 40_000, 300_000} {
				text := []byte(strings.Repeat(`{"user":"Grüße","n":12345},`, size/20+1))[:size]
				for len(text) > 0 && text[len(text)-1] >= 0x80 {
					text = text[:len(text)-1]
				}
				noise := make([]byte, size)
				random.Read(noise)
				for _, m := range []Message{{Text, text}, {Binary, noise}} {
					writeEither(t, client, m, i%2 == 0)
					got, err := readAppend(bounded.Context(t), client, nil)
					if err != nil || got.Type != m.Type || !bytes.Equal(got.Data, m.Data) {
						t.Fatalf("%v of %d bytes: got back %v of %d bytes, %v", m.Type, len(m.Data), got.Type, len(got.Data), err)
					}
				}
			}
		})
	}
}

func writeEither(t *testing.T, c *Conn, m Message, whole bool) {
	t.Helper()
	if whole {
		if err := c.Write(bounded.Context(t), m); err != nil {
			t.Fatal(err)
		}
		return
	}
	w, err := c.Writer(bounded.Context(t), m.Type)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(m.Data)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
}

// streamEcho echoes a message while it is being read.
func streamEcho(c *Conn) {
	for {
		typ, r, err := c.Reader(context.Background())
		if err != nil {
			return
		}
		body, err := io.ReadAll(r)
		if err != nil || c.Write(context.Background(), Message{typ, body}) != nil {
			return
		}
	}
}

func TestCanceledReadOfACompressedMessageLosesNothing(t *testing.T) {
	c, peer := rawCompressed(t, handshake.Deflate{}, nil)
	var b []byte
	b = append(b, rsv1(peer.frame(frame.Text, false, helloCompressed[:3]))...)
	b = append(b, peer.frame(frame.Ping, true, "")...)
	b = append(b, peer.frame(frame.Continuation, false, helloCompressed[3:5])...)
	b = append(b, peer.frame(frame.Continuation, true, helloCompressed[5:])...)
	b = append(b, rsv1(peer.frame(frame.Text, true, helloAgain))...)
	go io.Copy(io.Discard, peer.Conn)
	var got []string
	for i := range b {
		m, err := readAndCancel(t, c, i%2 == 0, func() { peer.send(b[i : i+1]) })
		if err == nil {
			got = append(got, string(m.Data))
		} else if !errors.Is(err, context.Canceled) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for len(got) < 2 {
		m, err := c.Read(bounded.Context(t))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(m.Data))
	}
	if got[0] != "Hello" || got[1] != "Hello" {
		t.Errorf("%q", got)
	}
}

// TestASkippedMessageIsContext checks that the unread rest of a Reader's message is inflated, because the next message may refer to
// it.
func TestASkippedMessageIsContext(t *testing.T) {
	for _, pieces := range []int{1, 2} {
		c, peer := rawCompressed(t, handshake.Deflate{}, nil)
		if pieces == 1 {
			peer.send(rsv1(peer.frame(frame.Text, true, helloCompressed)))
		} else {
			peer.send(rsv1(peer.frame(frame.Text, false, helloCompressed[:2])), peer.frame(frame.Continuation, true, helloCompressed[2:]))
		}
		peer.send(rsv1(peer.frame(frame.Text, true, helloAgain)))
		if _, _, err := c.Reader(bounded.Context(t)); err != nil {
			t.Fatal(err)
		}
		if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data) != "Hello" {
			t.Errorf("%d pieces: %q, %v", pieces, m.Data, err)
		}
	}
}

func TestBadCompressedMessages(t *testing.T) {
	const empty = "\x00\x00\xff\xff"                                                               // the block that is removed from the end of messages
	bomb := strings.TrimSuffix(strings.Repeat(deflateOf(t, make([]byte, 1<<20))+empty, 64), empty) // 64 MiB
	if len(bomb) > 100<<10 {
		t.Fatalf("the bomb has %d bytes", len(bomb))
	}
	tests := []struct {
		name    string
		payload string
		typ     frame.Opcode
		code    Code
		section string
	}{
		{"a bomb", bomb, frame.Binary, CodeTooBig, "RFC 6455 §10.4"},
		{"not DEFLATE", "\xff\xff\xff", frame.Binary, CodeInvalidData, "RFC 1951"},
		{"truncated", helloCompressed[:4], frame.Binary, CodeInvalidData, "RFC 7692"},
		{"not UTF-8", deflateOf(t, []byte("\xff\xfe")), frame.Text, CodeInvalidData, "RFC 6455 §8.1"},
		{"ends inside a character", deflateOf(t, []byte("a\xe2\x9c")), frame.Text, CodeInvalidData, "RFC 6455 §8.1"},
	}
	for _, tt := range tests {
		for _, pieces := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, pieces), func(t *testing.T) {
				c, peer := rawCompressed(t, handshake.Deflate{}, nil)
				go func() {
					k := len(tt.payload) * (pieces - 1) / 2
					if pieces == 2 {
						peer.Write(rsv1(peer.frame(tt.typ, false, tt.payload[:k])))
						peer.Write(peer.frame(frame.Continuation, true, tt.payload[k:]))
					} else {
						peer.Write(rsv1(peer.frame(tt.typ, true, tt.payload)))
					}
					peer.expectClose(tt.code)
					peer.Conn.Close()
				}()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err := c.Read(bounded.Context(t))
				runtime.ReadMemStats(&after)
				wantClose(t, err, tt.code, "", true)
				var pe *protocol.Violation
				if !errors.As(err, &pe) || !strings.HasPrefix(pe.Section, tt.section) {
					t.Errorf("%v does not name %s", err, tt.section)
				}
				if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
					t.Errorf("%d bytes were allocated", grown)
				}
			})
		}
	}
}

// deflateOf compresses p as one message without context takeover.
func deflateOf(t *testing.T, p []byte) string {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	c := overStream(near, protocol.RoleServer, nil)
	defer c.CloseNow()
	compressLater(c, handshake.Deflate{}, &Compression{Threshold: -1})
	return string(c.compression.out.Append(nil, p))
}

// TestAMessageAtTheLimitThatDoesNotShrink uses a message whose compressed form is longer than the limit.
func TestAMessageAtTheLimitThatDoesNotShrink(t *testing.T) {
	noise := make([]byte, 1000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	c, peer := rawCompressed(t, handshake.Deflate{}, &ConnOptions{MaxMessage: 1000})
	zip := deflateOf(t, noise)
	if len(zip) <= len(noise) {
		t.Fatalf("noise shrank to %d bytes", len(zip))
	}
	peer.send(rsv1(peer.frame(frame.Binary, true, zip)))
	if m, err := c.Read(bounded.Context(t)); err != nil || !bytes.Equal(m.Data, noise) {
		t.Errorf("%d bytes, %v", len(m.Data), err)
	}
}

// Each end compresses with its own window size, inflates with the peer's, and compresses only messages of at least Threshold bytes.
func TestWindowsOfTheTwoEnds(t *testing.T) {
	agreed := handshake.Deflate{ServerBits: 10, ClientBits: 11, ServerNoTakeover: true}
	server, client := deflate.Window{Bits: 10}, deflate.Window{Bits: 11, Takeover: true}
	for given, threshold := range map[int]int{0: defaultThreshold, 1: 1, -1: -1, 500: 500} {
		opts := &Compression{Threshold: given}
		for role, want := range map[protocol.Role][2]deflate.Window{protocol.RoleServer: {server, client}, protocol.RoleClient: {client, server}} {
			c, _ := rawPipe(t, role, nil)
			compressLater(c, agreed, opts)
			z := c.compression
			if z.out.Window != want[0] || z.in.Window != want[1] || z.bits != want[0].Bits || z.threshold != threshold || !c.m.Compressed {
				t.Errorf("%v: out %+v of %d bits, in %+v, threshold %d, compressed %v", role, z.out.Window, z.bits, z.in.Window, z.threshold, c.m.Compressed)
			}
		}
		if z := newEventCompression(agreed, opts); z.out.Window != server || z.in.Window != client || z.threshold != threshold {
			t.Errorf("on a loop: out %+v, in %+v, threshold %d", z.out.Window, z.in.Window, z.threshold)
		}
	}
}

func TestWriteUncompressedAndTheThreshold(t *testing.T) {
	c, peer := rawCompressed(t, handshake.Deflate{}, nil)
	long := strings.Repeat("all the same ", 50)
	go func() {
		c.Write(bounded.Context(t), Message{Text, []byte("short")})
		c.WriteUncompressed(bounded.Context(t), Message{Text, []byte(long)})
		c.Write(bounded.Context(t), Message{Text, []byte(long)})
	}()
	peer.expect(frame.Text, "short")
	peer.expect(frame.Text, long)
	if h, p := peer.next(); h.RSV != frame.RSV1 || len(p) > len(long)/4 {
		t.Errorf("%+v, %d bytes", h, len(p))
	}
}

// TestCompressionIsNegotiated checks the parameters that Accept and Dial negotiate, and an echo with them.
func TestCompressionIsNegotiated(t *testing.T) {
	tests := []struct {
		name           string
		server, client *Compression
		agreed         string
	}{
		{"both", &Compression{}, &Compression{}, "permessage-deflate; client_max_window_bits=12"},
		{"server alone", &Compression{}, nil, ""},
		{"client alone", nil, &Compression{}, ""},
		{"the server's windows", &Compression{ServerWindowBits: 10, ClientWindowBits: 11}, &Compression{},
			"permessage-deflate; server_max_window_bits=10; client_max_window_bits=11"},
		{"the client's windows", &Compression{}, &Compression{ServerWindowBits: 12, ClientWindowBits: 9},
			"permessage-deflate; server_max_window_bits=12; client_max_window_bits=9"},
		{"the largest windows", &Compression{ServerWindowBits: 15, ClientWindowBits: 15}, &Compression{}, "permessage-deflate"},
		{"no takeover", &Compression{ServerNoTakeover: true}, &Compression{ClientNoTakeover: true},
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := Accept(w, r, &AcceptOptions{Conn: ConnOptions{Compression: tt.server}})
				if err != nil {
					t.Error(err)
					return
				}
				echo(c)
			}))
			defer srv.Close()
			c, err := Dial(bounded.Context(t), srv.URL, &DialOptions{Conn: ConnOptions{Compression: tt.client}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			if got := c.Handshake().Extensions; got != tt.agreed {
				t.Errorf("agreed on %q, want %q", got, tt.agreed)
			}
			for range 3 {
				m := Message{Text, []byte(strings.Repeat("round and round ", 400))}
				if err := c.Write(bounded.Context(t), m); err != nil {
					t.Fatal(err)
				}
				if got, err := c.Read(bounded.Context(t)); err != nil || !bytes.Equal(got.Data, m.Data) {
					t.Fatalf("%d bytes, %v", len(got.Data), err)
				}
			}
			if err := c.Close(CodeNormal, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCompressionWindowsAreChecked(t *testing.T) {
	for _, bits := range []int{-1, 1, 8, 16, 300} {
		_, err := Dial(bounded.Context(t), "ws://127.0.0.1:1", &DialOptions{Conn: ConnOptions{Compression: &Compression{ServerWindowBits: bits}}})
		if he, ok := errors.AsType[*HandshakeError](err); !ok || he.Stage != handshake.StageRequest || !strings.Contains(err.Error(), "9 to 15") {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func BenchmarkEchoCompressed(b *testing.B) {
	for name, agreed := range map[string]handshake.Deflate{
		"takeover": {}, "no takeover": {ServerNoTakeover: true, ClientNoTakeover: true},
	} {
		b.Run(name, func(b *testing.B) {
			client, server := compressedPair(b, agreed, nil)
			go echoNoAlloc(server)
			m := Message{Text, []byte(strings.Repeat(`{"id":1234,"name":"some name","tags":["a","b"]},`, 22))}
			b.SetBytes(int64(len(m.Data)))
			b.ReportAllocs()
			buf := make([]byte, 0, 2048)
			for b.Loop() {
				if err := client.Write(b.Context(), m); err != nil {
					b.Fatal(err)
				}
				if _, err := readAppend(b.Context(), client, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestRFC7692_7_2_AbandonedMessages checks that the data of an abandoned Writer is not used as context for the next message if none
// of it was sent.
func TestRFC7692_7_2_AbandonedMessages(t *testing.T) {
	a, b := tcpConns(t, nil)
	compressLater(a, handshake.Deflate{}, &Compression{})
	compressLater(b, handshake.Deflate{}, &Compression{})
	ctx := bounded.Context(t)
	text := strings.Repeat("what is said again and again, ", 20)
	for i := range 3 {
		w, err := a.Writer(ctx, Text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "\xff"); !errors.Is(err, errInvalidUTF8) {
			t.Fatalf("invalid UTF-8: %v", err)
		}
		if err := a.Write(ctx, Message{Text, []byte(text)}); err != nil {
			t.Fatal(err)
		}
		if m, err := b.Read(ctx); err != nil || string(m.Data) != text {
			t.Fatalf("message %d: %q, %v", i, m.Data, err)
		}
	}
}

// TestWriterAbandonedHalfSent checks that abandoning a Writer closes the connection if part of the message was sent, with and without
// compression.
func TestWriterAbandonedHalfSent(t *testing.T) {
	for _, compressed := range []bool{true, false} {
		a, b := tcpConns(t, nil)
		if compressed {
			compressLater(a, handshake.Deflate{}, &Compression{})
			compressLater(b, handshake.Deflate{}, &Compression{})
		}
		read := make(chan error, 1)
		go func() {
			_, err := b.Read(bounded.Context(t))
			read <- err
		}()
		w, err := a.Writer(bounded.Context(t), Text)
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, 400<<10)
		for i := range text {
			text[i] = byte('0' + rand.IntN(64)) // compression hardly reduces its size
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, "\xff"); !errors.Is(err, errInvalidUTF8) {
			t.Errorf("compressed %t: invalid UTF-8: %v", compressed, err)
		}
		if err := a.ended(); CloseCode(err) != CodeAbnormal || !errors.Is(err, errInvalidUTF8) {
			t.Errorf("compressed %t: the connection has ended with %v", compressed, err)
		}
		if err := bounded.Receive(t, read); CloseCode(err) != CodeAbnormal {
			t.Errorf("compressed %t: the reader gets %v", compressed, err)
		}
	}
}
