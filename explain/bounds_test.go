package explain

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wstest"
)

// ended is a connection whose stream has ended.
type ended struct{ net.Conn }

func (ended) Read([]byte) (int, error)        { return 0, io.EOF }
func (ended) SetReadDeadline(time.Time) error { return nil }

// If only the beginning of a message is kept, the report has no fault because of the missing rest.
func TestLargeMessagesWithoutFault(t *testing.T) {
	random := make([]byte, 3*keepPayload)
	rand.NewChaCha8([32]byte{}).Read(random)
	compressed := compress(t, []string{string(random), "short"})
	umlauts := strings.Repeat("ä", keepPayload)
	for name, c := range map[string]struct {
		in    string
		fresh bool
	}{
		"text, cut in a character": {in: raw(frame.Header{Opcode: frame.Text}, umlauts+"\xc3") + raw(frame.Header{Fin: true}, "\xa4")},
		"text, cut before it":      {in: raw(frame.Header{Opcode: frame.Text}, "\xc3") + raw(frame.Header{Fin: true}, "\xa4"+umlauts)},
		"compressed": {in: raw(frame.Header{Fin: true, Opcode: frame.Binary, RSV: frame.RSV1}, compressed[0]) +
			raw(frame.Header{Fin: true, Opcode: frame.Binary, RSV: frame.RSV1}, compressed[1])},
		"compressed, no context": {fresh: true, in: raw(frame.Header{Fin: true, Opcode: frame.Binary, RSV: frame.RSV1}, compressed[0])},
	} {
		t.Run(name, func(t *testing.T) {
			in := newInbound(ended{}, []byte(c.in), protocol.NewInflater(0, !c.fresh))
			for {
				f, err := in.next(time.Time{})
				if err == io.EOF { //nolint:errorlint // the reader of type ended returns io.EOF unwrapped
					return
				}
				if err != nil {
					t.Fatalf("%v: %+v", err, f.Header)
				}
			}
		})
	}
}

// If a server continues to send data after the closing handshake, Explain does not wait for the end of the data, and does not report that
// the connection was closed.
func TestDataAfterTheClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) {
			v.open("")
			for {
				op, payload, err := v.next()
				if err != nil {
					return
				}
				if op == frame.Ping {
					op = frame.Pong
				}
				v.send(op, payload)
				for op == frame.Close {
					if _, err := v.Write(bytes.Repeat([]byte{0}, 64<<10)); err != nil {
						return
					}
				}
			}
		})
		opts.NoOriginProbes = true
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		last := r.Steps[len(r.Steps)-1]
		if !r.OK() || last.Stage != StageClose || strings.Contains(last.Facts[0].Value, "closed by the server") {
			t.Errorf("%+v", last)
		}
	})
}

// The row of a frame is truncated to the width of the terminal, and the colours are reset at the end of the row.
func TestFrameRowKeepsItsColours(t *testing.T) {
	var out bytes.Buffer
	x := NewText(&out, &TextOptions{Width: 60, Color: true})
	x.Frame(Frame{Opcode: "text", Preview: "äöü 12", Error: strings.Repeat("what is wrong with it ", 3)})
	row := strings.TrimSuffix(out.String(), "\n")
	if strings.Count(row, "\x1b[")%2 != 0 || !strings.HasSuffix(row, "\x1b[0m") {
		t.Errorf("%q", row)
	}
	out.Reset()
	x = NewText(&out, &TextOptions{Width: 60})
	x.Frame(Frame{Opcode: "text", Fin: true, Preview: strings.Repeat("ä", 80)})
	if n := width(strings.TrimSuffix(out.String(), "\n")); n > 60 || n < 55 {
		t.Errorf("%d columns: %q", n, out.String())
	}
}

// Probes for details have shorter time limits than the main steps.
func TestProbesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(*exchange) {})
		first, dials := opts.Dial, 0
		opts.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials++; dials == 1 {
				return first(ctx, network, address)
			}
			client, _ := wstest.NetPipe(64 << 10) // the server does not respond
			return client, nil
		}
		opts.StepTimeout = 10 * time.Second
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		if r.Diagnosis == nil || r.Diagnosis.ID != FaultClosedUnanswered || r.Duration > Duration(2*probeTimeout) {
			t.Errorf("%s: %+v", r.Duration, r.Findings)
		}
	})
}

// The wait for the end of a body is limited, and the received part is kept.
func TestEndlessBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) {
			v.writeText("HTTP/1.1 500 No\nContent-Length: 10\n\nabc")
			io.Copy(io.Discard, v.in)
		})
		r := Explain(t.Context(), "ws://192.0.2.1/", opts)
		if r.Response == nil || r.Response.Body != "abc" || r.Duration != Duration(bodyTimeout) {
			t.Errorf("%s: %+v", r.Duration, r.Response)
		}
	})
}

// If the caller cancels the context, the report does not say that the server did not respond.
func TestInterruptedIsNotNoResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		r := Explain(ctx, "ws://192.0.2.1/", inMemory(t, func(v *exchange) { io.Copy(io.Discard, v.in) }))
		last := r.Steps[len(r.Steps)-1]
		if last.Stage != StageResponse || last.Result != "stopped" {
			t.Errorf("%+v", last)
		}
	})
}

// A server that begins a TLS handshake and stops is not reported as silent.
func TestIncompleteTLSHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, nil)
		opts.NoProbes = true
		opts.Dial = func(context.Context, string, string) (net.Conn, error) {
			client, server := wstest.NetPipe(64 << 10)
			server.Write([]byte("\x16\x03\x03\x40\x00\x02")) // the beginning of a ServerHello
			return client, nil
		}
		r := Explain(t.Context(), "wss://192.0.2.1/", opts)
		if r.Diagnosis == nil || r.Diagnosis.ID != FaultTLSTimeout || strings.Contains(r.Diagnosis.Cause+r.Findings[0].Detail, "nothing") {
			t.Errorf("%+v %+v", r.Diagnosis, r.Findings)
		}
	})
}
