//go:build !race

package wsjson_test

import (
	"encoding/json"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/internal/allocs"
	"github.com/handfast/handfast/websocket/wsjson"
	"github.com/handfast/handfast/websocket/wstest"
)

// Write and Read allocate nothing in addition to the connection, and to encoding/json for the same value. The race detector makes
// pools drop their content, so this test is not built with it.
func TestAllocations(t *testing.T) {
	client, server := wstest.Pipe(t, nil)
	ctx := t.Context()
	value := &event{Name: "name", N: 12345}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var v event
	decode := allocs.PerRun(100, func() {
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
	})
	both := allocs.PerRun(100, func() {
		if err := wsjson.Write(ctx, client, value); err != nil {
			t.Fatal(err)
		}
		if err := wsjson.Read(ctx, server, &v); err != nil {
			t.Fatal(err)
		}
	})
	m := websocket.Message{Type: websocket.Text, Data: text}
	buf := make([]byte, 0, 1024)
	bare := allocs.PerRun(100, func() {
		if err := client.Write(ctx, m); err != nil {
			t.Fatal(err)
		}
		if err := server.View(ctx, func(m websocket.Message) error { buf = append(buf[:0], m.Data...); return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if both > bare+decode {
		t.Errorf("%v allocations, want at most %v by the connection and %v by decoding", both, bare, decode)
	}
}
