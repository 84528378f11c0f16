package wsjson_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/internal/bounded"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/wsjson"
	"github.com/handfast/handfast/websocket/wstest"
)

type event struct {
	Name string          `json:"name"`
	N    int             `json:"n,omitempty"`
	Raw  json.RawMessage `json:"raw,omitempty"`
}

// connected returns a Conn to test and a Peer on its other end.
func connected(t *testing.T) (*wstest.Peer, *websocket.Conn) {
	t.Helper()
	return wstest.PipePeer(t, protocol.RoleServer, nil)
}

func send(t *testing.T, p *wstest.Peer, frames ...wstest.Frame) {
	t.Helper()
	if err := p.Send(frames...); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	tests := []struct {
		name  string
		frame wstest.Frame
		want  event
		err   any // nil, an error for errors.Is, or a target for errors.As
	}{
		{"an object", wstest.TextFrame(`{"name":"a","n":1}`), event{Name: "a", N: 1}, nil},
		{"space around the value", wstest.TextFrame("\r\n {} \t"), event{}, nil},
		{"null changes nothing", wstest.TextFrame(`null`), event{}, nil},
		{"unknown fields", wstest.TextFrame(`{"other":1}`), event{}, nil},
		{"nothing", wstest.TextFrame(""), event{}, &syntax},
		{"not JSON", wstest.TextFrame("hello"), event{}, &syntax},
		{"truncated", wstest.TextFrame(`{"name":`), event{}, &syntax},
		{"two values", wstest.TextFrame(`{} {}`), event{}, &syntax},
		{"data after the value", wstest.TextFrame(`{},`), event{}, &syntax},
		{"another shape", wstest.TextFrame(`[1]`), event{}, &shape},
		{"binary", wstest.BinaryFrame([]byte(`{}`)), event{}, wsjson.ErrBinary},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, c := connected(t)
			send(t, p, tt.frame, wstest.TextFrame(`{"name":"next"}`))
			var got event
			err := wsjson.Read(bounded.Context(t), c, &got)
			switch want := tt.err.(type) {
			case nil:
				if err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
				}
			case error:
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			default:
				if !errors.As(err, want) {
					t.Errorf("got %v, want a %T", err, want)
				}
			}
			// Whatever the message was, the connection is still open.
			if err := wsjson.Read(bounded.Context(t), c, &got); err != nil || got.Name != "next" {
				t.Errorf("the next message: got %+v, %v", got, err)
			}
		})
	}
}

func TestReadIntoAnInterface(t *testing.T) {
	p, c := connected(t)
	send(t, p, wstest.TextFrame(`[1,"two"]`), wstest.TextFrame(`{"name":"a"}`))
	var v any
	if err := wsjson.Read(bounded.Context(t), c, &v); err != nil || !reflect.DeepEqual(v, []any{1.0, "two"}) {
		t.Errorf("got %v, %v", v, err)
	}
	var e event
	v = &e // a pointer in an interface is decoded into its target, as in json.Unmarshal
	if err := wsjson.Read(bounded.Context(t), c, &v); err != nil || e.Name != "a" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestReadIntoNil(t *testing.T) {
	p, c := connected(t)
	send(t, p, wstest.TextFrame(`{}`))
	var invalid *json.InvalidUnmarshalError
	if err := wsjson.Read[event](bounded.Context(t), c, nil); !errors.As(err, &invalid) {
		t.Errorf("got %v", err)
	}
	var v event
	if err := wsjson.Read(bounded.Context(t), c, &v); err != nil {
		t.Errorf("the failed Read consumed the message: %v", err)
	}
}

func TestReadIsBoundedByMaxMessage(t *testing.T) {
	opts := &wstest.Options{}
	opts.Client.MaxMessage = 10
	p, c := wstest.PipePeer(t, protocol.RoleServer, opts)
	send(t, p, wstest.TextFrame(`"`+strings.Repeat("x", 10)+`"`))
	p.Close()
	var v string
	if err := wsjson.Read(bounded.Context(t), c, &v); websocket.CloseCode(err) != websocket.CodeTooBig || v != "" {
		t.Errorf("got %q, %v", v, err)
	}
}

// The context interrupts the call, and the next call reads the incomplete message completely.
func TestReadInterrupted(t *testing.T) {
	p, c := connected(t)
	message := p.Append(nil, wstest.TextFrame(`{"name":"whole"}`))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		p.Drip(message[:9], 0) //nolint:errcheck // if this fails, Read returns another error than expected
		cancel()
	}()
	var v event
	if err := wsjson.Read(ctx, c, &v); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %+v, %v", v, err)
	}
	if _, err := p.Write(message[9:]); err != nil {
		t.Fatal(err)
	}
	if err := wsjson.Read(bounded.Context(t), c, &v); err != nil || v.Name != "whole" {
		t.Errorf("got %+v, %v", v, err)
	}
}

// Decoded values are not changed by later messages in the same buffer.
func TestReadKeepsNothingOfTheBuffer(t *testing.T) {
	p, c := connected(t)
	send(t, p, wstest.TextFrame(`{"name":"first","raw":[1]}`), wstest.TextFrame(`{"name":"XXXXX","raw":[9]}`))
	var first, second event
	for _, v := range []*event{&first, &second} {
		if err := wsjson.Read(bounded.Context(t), c, v); err != nil {
			t.Fatal(err)
		}
	}
	if first.Name != "first" || string(first.Raw) != "[1]" {
		t.Errorf("the first value became %+v", first)
	}
}

func TestWrite(t *testing.T) {
	big := strings.Repeat("x", 100<<10) // more than a pool keeps
	tests := []struct {
		value any
		want  string
	}{
		{event{Name: "a"}, `{"name":"a"}`},
		{nil, `null`},
		{[]int{1, 2}, `[1,2]`},
		{"a\nb\n", `"a\nb\n"`},
		{"<&>", `"\u003c\u0026\u003e"`},
		{big, `"` + big + `"`},
		{json.RawMessage(" { } "), `{}`},
	}
	for _, tt := range tests {
		p, c := wstest.PipePeer(t, protocol.RoleServer, &wstest.Options{Buffer: 1 << 20})
		if err := wsjson.Write(bounded.Context(t), c, tt.value); err != nil {
			t.Fatal(err)
		}
		if f, err := p.Next(); err != nil || string(f.Payload) != tt.want || f.String() != wstest.TextFrame(tt.want).String() {
			t.Errorf("sent %v, %v; want %.80s", f, err, tt.want)
		}
	}
}

// A value that cannot be encoded is not sent, and does not affect later writes.
func TestWriteFails(t *testing.T) {
	p, c := connected(t)
	var typ *json.UnsupportedTypeError
	if err := wsjson.Write(bounded.Context(t), c, []any{"half of it", make(chan int)}); !errors.As(err, &typ) {
		t.Errorf("a channel: %v", err)
	}
	if err := wsjson.Write(bounded.Context(t), c, json.RawMessage("\"\xff\"")); err != nil && !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("bad UTF-8: %v", err)
	} else if err == nil {
		t.Error("bad UTF-8 was sent")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wsjson.Write(canceled, c, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled context: %v", err)
	}
	if err := wsjson.Write(bounded.Context(t), c, 2); err != nil {
		t.Error(err)
	}
	if f, err := p.Next(); err != nil || string(f.Payload) != "2" {
		t.Errorf("sent %v, %v", f, err)
	}
}

func TestMessages(t *testing.T) {
	p, c := connected(t)
	send(t, p, wstest.TextFrame(`{"name":"a","n":1}`), wstest.TextFrame(`{"name":"b"}`), wstest.TextFrame(`{`), wstest.BinaryFrame(nil),
		wstest.TextFrame(`{"name":"c"}`), wstest.CloseFrame(websocket.CodeGoingAway, "noon"))
	if err := p.CloseWrite(); err != nil { // the Conn can still send its close frame, so that the closing handshake is complete
		t.Fatal(err)
	}
	var got []event
	var errs []error
	for v, err := range wsjson.Messages[event](bounded.Context(t), c) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		got = append(got, v)
	}
	if want := []event{{Name: "a", N: 1}, {Name: "b"}, {Name: "c"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if len(errs) != 2 || !errors.Is(errs[1], wsjson.ErrBinary) {
		t.Errorf("errors %v", errs)
	}
}

func TestMessagesEnds(t *testing.T) {
	synctest.Test(t, messagesEnd) // a connection whose peer does not answer ends after CloseTimeout
}

func messagesEnd(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  func() context.Context
		do   func(*wstest.Peer) error
		want func(error) bool // checks the error of the last element
	}{
		{"broken off", t.Context, func(p *wstest.Peer) error { return p.Reset() },
			func(err error) bool { return websocket.CloseCode(err) == websocket.CodeAbnormal }},
		{"an application's code", t.Context, func(p *wstest.Peer) error {
			return errors.Join(p.Send(wstest.CloseFrame(4000, "")), p.CloseWrite())
		},
			func(err error) bool { return websocket.CloseCode(err) == 4000 }},
		{"canceled", func() context.Context { return canceled }, func(*wstest.Peer) error { return nil },
			func(err error) bool { return errors.Is(err, context.Canceled) }},
	}
	for _, tt := range tests {
		p, c := connected(t)
		if err := tt.do(p); err != nil {
			t.Fatal(err)
		}
		n := 0
		for v, err := range wsjson.Messages[event](tt.ctx(), c) {
			if n++; !tt.want(err) {
				t.Errorf("%s: got %+v, %v", tt.name, v, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d elements", tt.name, n)
		}
		c.CloseNow()
	}
}

func TestMessagesBreak(t *testing.T) {
	p, c := connected(t)
	send(t, p, wstest.TextFrame(`1`), wstest.TextFrame(`2`), wstest.TextFrame(`{`), wstest.TextFrame(`4`))
	for range 3 { // a loop that stops at a value or at an error leaves the following messages unread
		for range wsjson.Messages[int](bounded.Context(t), c) {
			break
		}
	}
	var v int
	if err := wsjson.Read(bounded.Context(t), c, &v); err != nil || v != 4 {
		t.Errorf("got %d, %v", v, err)
	}
}

// Values from concurrent writers all arrive at one reader. The test is most useful under the race detector.
func TestConcurrently(t *testing.T) {
	client, server := wstest.Pipe(t, nil)
	const writers, each = 4, 50
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for i := range each {
				if err := wsjson.Write(bounded.Context(t), client, event{Name: "n", N: i}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sum := 0
	for range writers * each {
		var v event
		if err := wsjson.Read(bounded.Context(t), server, &v); err != nil {
			t.Fatal(err)
		}
		sum += v.N
	}
	all.Wait()
	if want := writers * each * (each - 1) / 2; sum != want {
		t.Errorf("the sum is %d, want %d", sum, want)
	}
}

// A loop over Messages closes the connection with 1001 when its context ends.
func TestMessagesGoesAway(t *testing.T) {
	client, server := wstest.Pipe(t, nil)
	ctx, cancel := context.WithCancel(bounded.Context(t))
	cancel()
	closed := make(chan error, 1)
	go func() {
		_, err := client.Read(bounded.Context(t))
		closed <- err
	}()
	for _, err := range wsjson.Messages[int](ctx, server) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the loop ended with %v", err)
		}
	}
	if err := bounded.Receive(t, closed); websocket.CloseCode(err) != websocket.CodeGoingAway {
		t.Errorf("the client was closed with %v", err)
	}
}

// interrupt is called when a breaker is decoded.
var interrupt context.CancelFunc

// breaker ends a context while it is decoded, and fails.
type breaker struct{}

func (*breaker) UnmarshalJSON([]byte) error { interrupt(); return errors.New("broken") }

// If the context ends while a message is being decoded, the loop yields the decoding error and leaves the connection open: only a later
// Read would close it.
func TestMessagesEndAfterTheMessage(t *testing.T) {
	p, c := connected(t)
	send(t, p, wstest.TextFrame(`1`))
	ctx, cancel := context.WithCancel(bounded.Context(t))
	interrupt = cancel
	for _, err := range wsjson.Messages[breaker](ctx, c) {
		if err == nil || errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if err := wsjson.Write(bounded.Context(t), c, "still here"); err != nil {
			t.Errorf("a write after a message that could not be decoded: %v", err)
		}
		if f, err := p.Next(); err != nil || string(f.Payload) != `"still here"` {
			t.Errorf("the peer got %v, %v", f, err)
		}
		break
	}
}
