//go:build e2e

package interop_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// A caller opens connections to a peer's server.
type caller struct {
	base      string
	options   websocket.DialOptions
	extension string // the extension that must be negotiated; "" means none
}

// checkServer runs all checks of our client with a peer's server, which prints its port in its first line of output.
func checkServer(t *testing.T, v variant, cert certificate, p *peer) {
	first, ok := p.next(t)
	if !ok || first.Check != "listening" {
		t.Fatalf("the peer's server printed %v; on its standard error: %s", first, &p.stderr)
	}
	scheme := strings.Replace(v.scheme(), "http", "ws", 1)
	c := caller{
		base:      fmt.Sprintf("%s://127.0.0.1:%d/", scheme, first.Port),
		options:   websocket.DialOptions{Conn: v.conn},
		extension: v.extension,
	}
	if v.secure {
		c.options.TLS = &tls.Config{RootCAs: cert.roots}
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for _, check := range []struct {
		name string
		run  func(context.Context, *testing.T, *websocket.Conn)
		end  websocket.CloseError // the expected error of our client's connection
	}{
		{"echo", callEcho, closedByUs(websocket.CodeNormal, doneReason)},
		{"unicode", callUnicode, closedByUs(websocket.CodeNormal, doneReason)},
		{"fragments-to-us", callFragmentsToUs, closedByUs(websocket.CodeNormal, doneReason)},
		{"fragments-to-peer", callFragmentsToPeer, closedByUs(websocket.CodeNormal, doneReason)},
		{"subprotocol", callSubprotocol, closedByUs(websocket.CodeNormal, doneReason)},
		{"burst", callBurst, closedByUs(websocket.CodeNormal, doneReason)},
		{"ping-by-peer", callPingByPeer, closedByUs(websocket.CodeNormal, doneReason)},
		{"ping-by-us", callPingByUs, closedByUs(websocket.CodeNormal, doneReason)},
		{"close-by-peer", callReadToEnd, closedByPeer(peerCode, peerReason)},
		{"close-without-code", callReadToEnd, closedByPeer(websocket.CodeNoStatus, "")},
		{"close-by-us", nil, closedByUs(ourCode, ourReason)},
	} {
		t.Run(check.name, func(t *testing.T) {
			c.call(ctx, t, check.name, check.run, check.end)
		})
	}
	compareServed(t, v, p.finish(t))
}

func closedByUs(code websocket.Code, reason string) websocket.CloseError {
	return websocket.CloseError{Code: code, Reason: reason}
}

func closedByPeer(code websocket.Code, reason string) websocket.CloseError {
	return websocket.CloseError{Code: code, Reason: reason, ByPeer: true}
}

// call opens a connection, runs a check, and checks how the connection ended.
func (c caller) call(ctx context.Context, t *testing.T, path string,
	run func(context.Context, *testing.T, *websocket.Conn), end websocket.CloseError) {
	options := c.options
	if path == "subprotocol" {
		options.Subprotocols = offered
	}
	conn, err := websocket.Dial(ctx, c.base+path, &options)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if got := conn.Handshake().Extensions; extensionName(got) != c.extension {
		t.Errorf("extensions %q, want %q", got, c.extension)
	}
	if run != nil {
		run(ctx, t, conn)
	}
	if !end.ByPeer {
		if err := conn.Close(end.Code, end.Reason); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	sameEnd(t, context.Cause(conn.Context()), end)
}

// sameEnd checks that a connection ended with the closing handshake that want describes.
func sameEnd(t *testing.T, err error, want websocket.CloseError) {
	t.Helper()
	var got *websocket.CloseError
	if !errors.As(err, &got) || *got != want {
		t.Errorf("the connection ended with %v; want %v", err, &want)
	}
}

// compareServed checks the peer's reports about the connections that it served, in any order.
func compareServed(t *testing.T, v variant, got []line) {
	t.Helper()
	done := line{Extensions: v.extension, Code: int(websocket.CodeNormal), Reason: doneReason}
	want := map[string]line{
		"echo": done, "unicode": done, "fragments-to-us": done, "fragments-to-peer": done, "subprotocol": done,
		"burst": done, "ping-by-peer": done, "ping-by-us": done,
		"close-by-peer":      {Extensions: v.extension, Code: peerCode, Reason: peerReason}, // our echo of the peer's close frame
		"close-without-code": {Extensions: v.extension, Code: int(websocket.CodeNoStatus)},
		"close-by-us":        {Extensions: v.extension, Code: ourCode, Reason: ourReason},
	}
	for _, g := range got {
		w, ok := want[g.Check]
		if !ok {
			t.Errorf("the peer reports %v, which was not requested or is a duplicate", g)
			continue
		}
		delete(want, g.Check)
		w.Check = g.Check
		switch g.Check {
		case "subprotocol":
			w.Subprotocol = subprotocols[0]
		case "ping-by-peer":
			if g.RTT <= 0 {
				t.Errorf("the peer's ping took %v ms", g.RTT)
			}
			g.RTT = 0
		}
		g.Extensions = extensionName(g.Extensions)
		if g != w {
			t.Errorf("the peer reports\n%v, want\n%v", g, w)
		}
	}
	for check := range want {
		t.Errorf("the peer does not report %s", check)
	}
}

func send(ctx context.Context, t *testing.T, c *websocket.Conn, m websocket.Message) {
	t.Helper()
	if err := c.Write(ctx, m); err != nil {
		t.Fatal(err)
	}
}

func expect(ctx context.Context, t *testing.T, c *websocket.Conn, want websocket.Message) {
	t.Helper()
	got, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got.Type != want.Type || !bytes.Equal(got.Data, want.Data) {
		t.Fatalf("got %v of %d bytes (%.40q), want %v of %d (%.40q)",
			got.Type, len(got.Data), got.Data, want.Type, len(want.Data), want.Data)
	}
}

func text(s string) websocket.Message {
	return websocket.Message{Type: websocket.Text, Data: []byte(s)}
}

func callEcho(ctx context.Context, t *testing.T, c *websocket.Conn) {
	for _, kind := range []websocket.Type{websocket.Text, websocket.Binary} {
		for _, size := range sizes {
			send(ctx, t, c, websocket.Message{Type: kind, Data: pattern(kind, size)})
			expect(ctx, t, c, websocket.Message{Type: kind, Data: pattern(kind, size)})
		}
	}
}

func callUnicode(ctx context.Context, t *testing.T, c *websocket.Conn) {
	send(ctx, t, c, text(unicode))
	expect(ctx, t, c, text(unicode))
}

func callFragmentsToUs(ctx context.Context, t *testing.T, c *websocket.Conn) {
	expect(ctx, t, c, text(strings.Join(pieces, "")))
}

func callFragmentsToPeer(ctx context.Context, t *testing.T, c *websocket.Conn) {
	if err := writePieces(ctx, c); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, c, text(strings.Join(pieces, "")))
}

func callSubprotocol(_ context.Context, t *testing.T, c *websocket.Conn) {
	if got := c.Handshake().Subprotocol; got != subprotocols[0] || !slices.Contains(offered, got) {
		t.Errorf("subprotocol %q, want %q", got, subprotocols[0])
	}
}

func callBurst(ctx context.Context, t *testing.T, c *websocket.Conn) {
	for i := range burst {
		send(ctx, t, c, text(fmt.Sprintf("message %d", i)))
	}
	for i := range burst {
		expect(ctx, t, c, text(fmt.Sprintf("message %d", i)))
	}
}

func callPingByPeer(ctx context.Context, t *testing.T, c *websocket.Conn) {
	expect(ctx, t, c, text(pingData)) // the peer sends pingData after receiving our pong
}

func callPingByUs(ctx context.Context, t *testing.T, c *websocket.Conn) {
	type result struct {
		m   websocket.Message
		err error
	}
	read := make(chan result, 1)
	go func() {
		m, err := c.Read(ctx)
		read <- result{m, err}
	}()
	rtt, err := c.Ping(ctx)
	if err != nil || rtt <= 0 {
		t.Errorf("Ping: %v, %v", rtt, err)
	}
	send(ctx, t, c, text("after the ping"))
	if got := bounded.Receive(t, read); got.err != nil || string(got.m.Data) != "after the ping" {
		t.Errorf("got %q, %v", got.m.Data, got.err)
	}
}

// callReadToEnd waits for the peer's close frame. caller.call checks how the connection ended.
func callReadToEnd(ctx context.Context, t *testing.T, c *websocket.Conn) {
	if m, err := c.Read(ctx); err == nil {
		t.Errorf("got %q, want the end", m.Data)
	}
}
