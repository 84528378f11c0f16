package explain

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// raw returns a frame's bytes.
func raw(h frame.Header, payload string) string {
	h.Length = int64(len(payload))
	return string(append(frame.Append(nil, h), payload...))
}

// readAll passes b to an inbound, in pieces of n bytes, until the stream ends or a rule is violated.
func readAll(t *testing.T, b string, n int, compressed bool) (all []*incoming, err error) {
	t.Helper()
	client, server := wstest.NetPipe(0)
	defer client.Close()
	go func() {
		defer server.Close()
		for i := 0; i < len(b); i += n {
			server.Write([]byte(b[i:min(i+n, len(b))]))
		}
	}()
	var inf *protocol.Inflater
	if compressed {
		inf = protocol.NewInflater(0, true)
	}
	in := newInbound(client, nil, inf)
	for {
		f, err := in.next(time.Now().Add(10 * time.Second))
		if err != nil {
			return all, err
		}
		all = append(all, f)
	}
}

// Each case violates one rule about a server's frames. The first frame is a valid pong: otherwise the bytes could be taken for garbage.
func TestRFC6455_5_ServerFrames(t *testing.T) {
	pong := raw(frame.Header{Fin: true, Opcode: frame.Pong}, "")
	text := frame.Header{Fin: true, Opcode: frame.Text}
	for _, c := range []struct {
		name, in, clause string
		fault            Fault
		compressed       bool
	}{
		{name: "5.1 masked", in: raw(frame.Header{Fin: true, Opcode: frame.Text, Masked: true}, "x"), clause: "RFC 6455 §5.1", fault: FaultMasked},
		{name: "5.2 RSV1", in: raw(frame.Header{Fin: true, Opcode: frame.Text, RSV: frame.RSV1}, "x"), clause: "RFC 6455 §5.2"},
		{name: "5.2 RSV2", in: raw(frame.Header{Fin: true, Opcode: frame.Text, RSV: frame.RSV2}, "x"), clause: "RFC 6455 §5.2"},
		{name: "5.2 RSV3", in: raw(frame.Header{Fin: true, Opcode: frame.Text, RSV: frame.RSV3}, "x"), clause: "RFC 6455 §5.2"},
		{name: "5.2 opcode 3", in: raw(frame.Header{Fin: true, Opcode: 3}, "x"), clause: "RFC 6455 §5.2"},
		{name: "5.2 opcode 11", in: raw(frame.Header{Fin: true, Opcode: 11}, "x"), clause: "RFC 6455 §5.2"},
		{name: "5.2 length not minimal", in: "\x82\x7e\x00\x05hello", clause: "RFC 6455 §5.2"},
		{name: "5.2 length with its top bit set", in: "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", clause: "RFC 6455 §5.2"},
		{name: "5.4 continuation of nothing", in: raw(frame.Header{Fin: true}, "x"), clause: "RFC 6455 §5.4"},
		{name: "5.4 a message within another", in: raw(frame.Header{Opcode: frame.Text}, "x") + raw(text, "y"), clause: "RFC 6455 §5.4"},
		{name: "5.5 fragmented ping", in: raw(frame.Header{Opcode: frame.Ping}, "x"), clause: "RFC 6455 §5.5"},
		{name: "5.5 long ping", in: raw(frame.Header{Fin: true, Opcode: frame.Ping}, strings.Repeat("x", 126)), clause: "RFC 6455 §5.5"},
		{name: "5.5.1 close of one byte", in: raw(frame.Header{Fin: true, Opcode: frame.Close}, "x"), clause: "RFC 6455 §5.5.1"},
		{name: "8.1 reason not UTF-8", in: raw(frame.Header{Fin: true, Opcode: frame.Close}, "\x03\xe8\xff"), clause: "RFC 6455 §8.1"},
		{name: "7.4 code 1005", in: raw(frame.Header{Fin: true, Opcode: frame.Close}, "\x03\xed"), clause: "RFC 6455 §7.4"},
		{name: "7.4 code 999", in: raw(frame.Header{Fin: true, Opcode: frame.Close}, "\x03\xe7"), clause: "RFC 6455 §7.4"},
		{name: "7.4 code 5000", in: raw(frame.Header{Fin: true, Opcode: frame.Close}, "\x13\x88"), clause: "RFC 6455 §7.4"},
		{name: "8.1 text", in: raw(text, "a\xffb"), clause: "RFC 6455 §8.1"},
		{name: "8.1 text over fragments", in: raw(frame.Header{Opcode: frame.Text}, "a\xc3") + raw(frame.Header{Fin: true}, "x"), clause: "RFC 6455 §8.1"},
		{name: "8.1 text that ends within a character", in: raw(text, "a\xe2\x82"), clause: "RFC 6455 §8.1"},
		{name: "7692 RSV1 on a continuation", compressed: true, clause: "RFC 7692 §6.1",
			in: raw(frame.Header{Opcode: frame.Text, RSV: frame.RSV1}, "x") + raw(frame.Header{Fin: true, RSV: frame.RSV1}, "y")},
		{name: "7692 RSV1 on a ping", compressed: true, clause: "RFC 7692 §6.1", in: raw(frame.Header{Fin: true, Opcode: frame.Ping, RSV: frame.RSV1}, "x")},
		{name: "7692 no deflate", compressed: true, clause: "RFC 7692 §7.2.2", in: raw(frame.Header{Fin: true, Opcode: frame.Text, RSV: frame.RSV1}, "\xff\xff\xff\xff")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.fault == "" {
				c.fault = FaultFrame
			}
			for _, n := range []int{1, 1 << 20} {
				all, err := readAll(t, pong+c.in, n, c.compressed)
				rule, ok := errors.AsType[*broken](err)
				if !ok || rule.clause != c.clause || rule.fault != c.fault {
					t.Errorf("in pieces of %d it says %v", n, err)
				}
				if len(all) == 0 || all[0].Opcode != frame.Pong {
					t.Errorf("%d frames came before it", len(all))
				}
			}
		})
	}
}

// Immediately after the 101, bytes that are not frames are distinguished from invalid frames.
func TestGarbageOrFrame(t *testing.T) {
	for in, want := range map[string]Fault{
		"<html>": FaultGarbage, "HTTP/1.1 200 OK\r\n\r\n": FaultGarbage, "Hello, world": FaultGarbage, "But what is it": FaultGarbage,
		"\r\n\r\n\x81\x02hi": FaultGarbage, "\x16\x03\x01\x00\x05hello": FaultGarbage, "{\"a\":1}": FaultGarbage,
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff": FaultGarbage, "\x81\x82\x00\x00\x00\x00hi": FaultMasked, "\x80\x00": FaultFrame, "\xc1\x02hi": FaultFrame,
	} {
		_, err := readAll(t, in, 1<<20, false)
		if rule, ok := errors.AsType[*broken](err); !ok || rule.fault != want {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// The messages do not depend on how the network splits frames, and a wait that a deadline ends loses no data.
func TestFragmentedMessages(t *testing.T) {
	long := strings.Repeat("äöü€😀", 5000)
	in := raw(frame.Header{Opcode: frame.Text}, long[:1001]) + raw(frame.Header{Fin: true, Opcode: frame.Ping}, "p") +
		raw(frame.Header{}, long[1001:2000]) + raw(frame.Header{Fin: true}, long[2000:]) +
		raw(frame.Header{Fin: true, Opcode: frame.Binary}, "\xff\x00")
	for _, n := range []int{1, 7, 1000, len(in)} {
		all, err := readAll(t, in, n, false)
		if !errors.Is(err, io.EOF) {
			t.Errorf("in pieces of %d: %v", n, err)
		}
		var got []string
		for _, f := range all {
			if f.done {
				got = append(got, string(f.message))
			}
		}
		if len(got) != 3 || got[0] != "p" || got[1] != long || got[2] != "\xff\x00" {
			t.Errorf("in pieces of %d there are %d messages", n, len(got))
		}
	}
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.NetPipe(0)
		defer client.Close()
		r := newInbound(client, nil, nil)
		for i := range len(in) {
			server.Write([]byte{in[i]})
			for {
				if _, err := r.next(time.Now().Add(time.Millisecond)); err != nil {
					if !isTimeout(err) {
						t.Fatal(err)
					}
					break
				}
			}
		}
		if r.frames != 5 || r.m.InMessage() || len(r.buf) != 0 {
			t.Errorf("%d frames were whole", r.frames)
		}
	})
}

// compress compresses messages like a server with context takeover.
func compress(t *testing.T, messages []string) []string {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range messages {
		out.Reset()
		io.WriteString(w, m)
		w.Flush()
		all = append(all, strings.TrimSuffix(out.String(), "\x00\x00\xff\xff"))
	}
	return all
}

func TestRFC7692_7_2_2_Inflate(t *testing.T) {
	random := make([]byte, 40<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	messages := []string{"hello", "hello", "", string(random), strings.Repeat("hello ", 20000), string(random), "hello"}
	f := protocol.NewInflater(0, true)
	for i, m := range compress(t, messages) {
		plain, size, err := inflated(f.Parts([]byte(m)))
		if err != nil || string(plain) != messages[i] || size != int64(len(plain)) {
			t.Errorf("message %d: %d bytes of %d, %v", i, len(plain), len(messages[i]), err)
		}
	}
}

// A message continues after a block with BFINAL set, as it does in package websocket.
func TestRFC7692_7_2_3_4_InflateAfterFinalBlock(t *testing.T) {
	final := "\xf3\x48\xcd\xc9\xc9\x07\x00"
	plain, size, err := inflated(protocol.NewInflater(0, true).Parts([]byte(final + final + "\x00")))
	if err != nil || string(plain) != "HelloHello" || size != 10 {
		t.Errorf("%q, %d, %v", plain, size, err)
	}
}

// A server must not refer to data beyond the window that it has agreed to.
func TestRFC7692_7_1_2_1_InflateWithinWindow(t *testing.T) {
	random := make([]byte, 300)
	rand.NewChaCha8([32]byte{}).Read(random)
	far := []byte(compress(t, []string{string(random) + string(random)})[0])
	if _, _, err := inflated(protocol.NewInflater(8, true).Parts(far)); err == nil {
		t.Error("a match beyond a window of 256 bytes was accepted")
	}
	if plain, _, err := inflated(protocol.NewInflater(9, true).Parts(far)); err != nil || len(plain) != 600 {
		t.Errorf("a window of 512 bytes: %d bytes, %v", len(plain), err)
	}
}

// The decompression of a huge message stops at a limit, and later messages that depend on its content have no content in the report.
func TestInflateIsBounded(t *testing.T) {
	bomb := compress(t, []string{strings.Repeat("\x00", maxInflated+1<<20), "next"})
	f := protocol.NewInflater(0, true)
	plain, size, err := inflated(f.Parts([]byte(bomb[0])))
	if err != nil || len(plain) > keepPayload || size < maxInflated || size > maxInflated+readChunk*2 {
		t.Errorf("%d bytes kept of %d, %v", len(plain), size, err)
	}
	if !f.Lost() {
		t.Error("the next message can be inflated, which depends on the rest")
	}
	fresh := protocol.NewInflater(0, false)
	fresh.Skip()
	if plain, _, err := inflated(fresh.Parts([]byte(compress(t, []string{"hi"})[0]))); err != nil || string(plain) != "hi" || fresh.Lost() {
		t.Errorf("without context takeover: %q, %v", plain, err)
	}
}

// The report shows the code and the reason of a close frame, and the reply has the same code and reason.
func TestRFC6455_5_5_1_CloseIsShownAndEchoed(t *testing.T) {
	for payload, want := range map[string]Close{
		"": {Code: 1005}, "\x03\xe9": {Code: 1001}, "\x0f\xa0x": {Code: 4000, Reason: "x"}, "\x03\xf4restart": {Code: 1012, Reason: "restart"},
	} {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan string, 1)
			opts := inMemory(t, func(v *exchange) {
				v.open("")
				v.send(frame.Close, payload)
				for {
					op, p, err := v.next()
					if err != nil || op == frame.Close {
						answer <- p
						return
					}
				}
			})
			opts.NoProbes = true
			r := Explain(t.Context(), "ws://192.0.2.1/", opts)
			if c := r.Close; c == nil || c.Code != want.Code || c.Reason != want.Reason || c.By != "server" || !c.Clean {
				t.Errorf("%q: %+v", payload, c)
			}
			if got := bounded.Receive(t, answer); got != payload {
				t.Errorf("%q was answered with %q", payload, got)
			}
			var shown []Frame
			for _, s := range r.Steps {
				for _, f := range s.Frames {
					if f.Opcode == "close" {
						shown = append(shown, f)
					}
				}
			}
			if len(shown) != 2 || shown[0].Sent || !shown[1].Sent || shown[0].Length != int64(len(payload)) || shown[1].Length != shown[0].Length ||
				shown[0].Code != want.Code || shown[1].Code != want.Code || shown[0].Preview != want.Reason || shown[1].Preview != want.Reason {
				t.Errorf("%q: %+v", payload, shown)
			}
		})
	}
}

// The close frame for a violation has the code of the violated rule.
func TestRFC6455_7_4_1_CloseForABrokenRule(t *testing.T) {
	for in, want := range map[string]int{
		raw(frame.Header{Fin: true, Opcode: frame.Text}, "a\xff"): 1007, raw(frame.Header{Fin: true, Opcode: 3}, ""): 1002,
		raw(frame.Header{Fin: true, Opcode: frame.Text, Masked: true}, "x"): 1002,
	} {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan string, 1)
			opts := inMemory(t, func(v *exchange) {
				v.open("")
				v.send(frame.Pong, "")
				v.Write([]byte(in))
				for {
					op, p, err := v.next()
					if err != nil || op == frame.Close {
						answer <- p
						return
					}
				}
			})
			opts.NoProbes = true
			r := Explain(t.Context(), "ws://192.0.2.1/", opts)
			if c := r.Close; c == nil || c.Code != want || c.By != "client" {
				t.Errorf("%q: %+v", in, c)
			}
			if got := bounded.Receive(t, answer); got != string([]byte{byte(want >> 8), byte(want)}) {
				t.Errorf("%q was answered with %q", in, got)
			}
		})
	}
}

func TestNotHTTP(t *testing.T) {
	for in, want := range map[string]headProblem{
		"\x15\x03\x01\x00\x02\x02\x46": {fault: FaultPlainToTLS, detail: "a TLS record"}, "\x16\x03\x01": {fault: FaultPlainToTLS, detail: "a TLS record"},
		"\x00\x00\x00\x04\x00\x00\x00\x00\x00": {fault: FaultHTTP2Only, detail: "SETTINGS"}, "\x00\x00\x06\x04\x00\x00\x00\x00\x00": {fault: FaultHTTP2Only, detail: "SETTINGS"},
		"\x00\x00\x05\x04\x00\x00\x00\x00\x00": {fault: FaultNotHTTP, detail: "not HTTP"}, "\x00\x00\x00\x05\x00\x00\x00\x00\x00": {fault: FaultNotHTTP, detail: "not HTTP"},
		"GET / HTTP/1.1\r\n": {fault: FaultNotHTTP, detail: "echoes"}, "SSH-2.0-x\r\n": {fault: FaultNotHTTP, detail: "SSH"},
		"220 FTP ready\r\n": {fault: FaultNotHTTP, detail: "FTP server"}, "220 mail ESMTP\r\n": {fault: FaultNotHTTP, detail: "SMTP"},
		"* OK IMAP4\r\n": {fault: FaultNotHTTP, detail: "IMAP"}, "+OK POP3\r\n": {fault: FaultNotHTTP, detail: "IMAP or POP3"},
		"-ERR unknown\r\n": {fault: FaultNotHTTP, detail: "Redis"}, "-DENIED x\r\n": {fault: FaultNotHTTP, detail: "Redis"},
		"J\x00\x00\x00\x0a5.7\x00": {fault: FaultNotHTTP, detail: "MySQL"}, "RFB 003.008\n": {fault: FaultNotHTTP, detail: "VNC"}, "<html></html>\n": {fault: FaultNotHTTP, detail: "a page"},
	} {
		for _, n := range []int{1, len(in)} {
			h := feedAll([]byte(in), n)
			if p := h.problem; p == nil || p.fault != want.fault || !strings.Contains(p.detail, want.detail) {
				t.Errorf("%q in pieces of %d: %+v", in, n, p)
			}
		}
	}
}
