package bench_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/handfast/handfast/websocket"
)

// A variant is a configuration in which every pair of libraries runs once.
type variant struct {
	name      string
	secure    bool
	conn      websocket.ConnOptions // options of our side
	deflate   bool                  // whether the other side offers and accepts permessage-deflate
	extension string                // the name that our side must report
}

var variants = []variant{
	{name: "ws"},
	{name: "wss", secure: true},
	{name: "ws with permessage-deflate declined", deflate: true},
	{name: "ws compressed", deflate: true, extension: "permessage-deflate",
		conn: websocket.ConnOptions{Compression: &websocket.Compression{Threshold: -1}}},
}

func (v variant) coderMode() coder.CompressionMode {
	if v.deflate {
		return coder.CompressionContextTakeover
	}
	return coder.CompressionDisabled
}

// limit is the time limit for every wait. It stops a hanging test; no result depends on it.
const limit = 30 * time.Second

const unicode = "ascii é κόσμε 日本語 🤝 \x00 \uffff \U0010ffff"

var (
	offered   = []string{"handfast.v0", "handfast.v1", "handfast.v2"}
	preferred = []string{"handfast.v2"} // with several protocols, gorilla would prefer the client's order
	sizes     = []int{0, 1, 125, 126, 65535, 65536, 1048576}
)

// pieces are fragments that are longer than gorilla's buffer, and end within a character.
var pieces = func() []string {
	s := strings.Repeat("🤝 in pieces ", 1000)
	return []string{s[:4001], s[4001:9002], s[9002:]}
}()

// A dialog is the behavior of both sides of one connection. The client sends first, then the server responds.
type dialog struct {
	name   string
	client func(ctx context.Context, e end) error
	server func(ctx context.Context, e end) error
}

// clientCloses closes with the code and the reason. It is the client's last step in every dialog that is not about closing; the server's last
// step is echoUntil.
func clientCloses(code int, reason string) func(context.Context, end) error {
	return func(ctx context.Context, e end) error { return e.close(ctx, code, reason) }
}

// echoUntil echoes until the peer closes, and checks the close.
func echoUntil(code int, reason string) func(context.Context, end) error {
	return func(ctx context.Context, e end) error {
		for {
			m, err := e.read(ctx)
			var how ended
			if errors.As(err, &how) && how == (ended{code, reason}) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read: %w, want %w", err, ended{code, reason})
			}
			if err := e.write(ctx, m); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
	}
}

const (
	code   = 4001
	reason = "a reason 🤝"
)

var dialogs = []dialog{
	{"echo", inTurn(echoes, clientCloses(1000, "done")), echoUntil(1000, "done")},
	{"unicode", inTurn(sendText(unicode), expectText(unicode), clientCloses(1000, "")), echoUntil(1000, "")},
	{"fragments from the client", inTurn(sendPieces, expectText(strings.Join(pieces, "")), clientCloses(1000, "")),
		echoUntil(1000, "")},
	{"fragments from the server", inTurn(expectText(strings.Join(pieces, "")), clientCloses(1000, "")),
		inTurn(sendPieces, echoUntil(1000, ""))},
	{"subprotocol", inTurn(agreed, clientCloses(1000, "")), inTurn(agreed, echoUntil(1000, ""))},
	{"burst", inTurn(burst, clientCloses(1000, "")), echoUntil(1000, "")},
	{"ping from the client", inTurn(pings, clientCloses(1000, "")), echoUntil(1000, "")},
	{"ping from the server", inTurn(echoOne, clientCloses(1000, "")), inTurn(pings, echoUntil(1000, ""))},
	{"the client closes", clientCloses(code, reason), echoUntil(code, reason)},
	{"the server closes", echoUntil(code, reason), clientCloses(code, reason)},
}

// inTurn runs steps one after another.
func inTurn(steps ...func(context.Context, end) error) func(context.Context, end) error {
	return func(ctx context.Context, e end) error {
		for _, step := range steps {
			if err := step(ctx, e); err != nil {
				return err
			}
		}
		return nil
	}
}

func text(s string) websocket.Message {
	return websocket.Message{Type: websocket.Text, Data: []byte(s)}
}

func expect(ctx context.Context, e end, want websocket.Message) error {
	got, err := e.read(ctx)
	if err == nil && (got.Type != want.Type || !bytes.Equal(got.Data, want.Data)) {
		err = fmt.Errorf("got %v of %d bytes (%.40q), want %v of %d (%.40q)",
			got.Type, len(got.Data), got.Data, want.Type, len(want.Data), want.Data)
	}
	return err
}

func sendText(s string) func(context.Context, end) error {
	return func(ctx context.Context, e end) error { return e.write(ctx, text(s)) }
}

func expectText(s string) func(context.Context, end) error {
	return func(ctx context.Context, e end) error { return expect(ctx, e, text(s)) }
}

func sendPieces(ctx context.Context, e end) error { return e.writePieces(ctx, pieces) }

// echoes sends messages of every size and both types, and expects their echoes.
func echoes(ctx context.Context, e end) error {
	for _, kind := range []websocket.Type{websocket.Text, websocket.Binary} {
		for _, size := range sizes {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte('a' + i%26)
				if kind == websocket.Binary {
					data[i] = byte((i*31 + 7) % 251)
				}
			}
			want := bytes.Clone(data) // a library may mask the caller's data
			if err := e.write(ctx, websocket.Message{Type: kind, Data: data}); err != nil {
				return fmt.Errorf("%v of %d bytes: %w", kind, size, err)
			}
			if err := expect(ctx, e, websocket.Message{Type: kind, Data: want}); err != nil {
				return fmt.Errorf("%v of %d bytes: %w", kind, size, err)
			}
		}
	}
	return nil
}

func agreed(_ context.Context, e end) error {
	if got := e.subprotocol(); got != preferred[0] {
		return fmt.Errorf("subprotocol %q, want %q", got, preferred[0])
	}
	return nil
}

// burst sends a hundred messages in a row, then reads as many.
func burst(ctx context.Context, e end) error {
	for i := range 100 {
		if err := e.write(ctx, text(fmt.Sprintf("message %d", i))); err != nil {
			return err
		}
	}
	for i := range 100 {
		if err := expect(ctx, e, text(fmt.Sprintf("message %d", i))); err != nil {
			return err
		}
	}
	return nil
}

// pings sends a ping while another goroutine reads, and then a message, whose echo the other goroutine reads.
func pings(ctx context.Context, e end) error {
	read := make(chan error, 1)
	go func() { read <- expect(ctx, e, text("after the ping")) }()
	rtt, err := e.ping(ctx)
	if err == nil && rtt <= 0 {
		err = fmt.Errorf("the ping took %v", rtt)
	}
	if err == nil {
		err = e.write(ctx, text("after the ping"))
	}
	if err != nil {
		e.closeNow()
		return errors.Join(fmt.Errorf("ping: %w", err), <-read)
	}
	return <-read
}

// echoOne echoes a single message.
func echoOne(ctx context.Context, e end) error {
	m, err := e.read(ctx)
	if err != nil {
		return err
	}
	return e.write(ctx, m)
}

func TestInterop(t *testing.T) {
	for _, pair := range [][2]library{{ours, gorillas}, {gorillas, ours}, {ours, coders}, {coders, ours}} {
		server, client := pair[0], pair[1]
		for _, v := range variants {
			t.Run(fmt.Sprintf("%s serves %s over %s", server.name, client.name, v.name), func(t *testing.T) {
				for _, k := range dialogs {
					t.Run(k.name, func(t *testing.T) { runDialog(t, k, v, server, client) })
				}
			})
		}
	}
}

// runDialog runs one dialog on one connection.
func runDialog(t *testing.T, k dialog, v variant, server, client library) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	served := make(chan error, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := server.accept(w, r, v)
		if err == nil {
			err = k.server(ctx, e)
			e.closeNow()
		}
		served <- err
	}))
	var roots *tls.Config
	if v.secure {
		s.StartTLS()
		roots = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	} else {
		s.Start()
	}
	defer s.Close()
	e, err := client.dial(ctx, "ws"+strings.TrimPrefix(s.URL, "http"), roots, v)
	if err != nil {
		t.Fatalf("%s cannot connect: %v", client.name, err)
	}
	defer e.closeNow()
	if err := k.client(ctx, e); err != nil {
		t.Errorf("the client with %s: %v", client.name, err)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("the server with %s: %v", server.name, err)
		}
	case <-ctx.Done():
		t.Errorf("the server with %s does not end", server.name)
	}
}
