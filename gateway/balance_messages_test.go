package gateway

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// If messages are forwarded, the settings of the endpoint apply to the client, the server chooses the subprotocol, and messages and
// close codes are counted for the server.
func TestBalanceMessages(t *testing.T) {
	a := newBackend(t, "a")
	text := strings.Replace(balancing([]*backend{a}, "messages: {types: [text]}"), "path: /\n", "path: /\n\t  max_message: 100\n\t  compression: true\n\t  subprotocols: [other]\n", 1)
	r := run(t, parse(t, text))
	opts := &websocket.DialOptions{Subprotocols: []string{"other", "chat"}, Conn: websocket.ConnOptions{Compression: &websocket.Compression{}}}
	for _, tt := range []struct {
		send websocket.Message
		code websocket.Code
	}{
		{websocket.Message{Type: websocket.Text, Data: make([]byte, 101)}, websocket.CodeTooBig},
		{websocket.Message{Type: websocket.Binary}, websocket.CodeUnsupportedData},
	} {
		c, _ := r.greeting(t, "/", opts)
		if c.Subprotocol() != "chat" || !strings.HasPrefix(c.Handshake().Extensions, "permessage-deflate") || c.Handshake().Header.Get("X-Behind") != "a" {
			t.Errorf("got %+v, want the subprotocol chat, permessage-deflate and X-Behind", c.Handshake())
		}
		say := func(m websocket.Message) {
			t.Helper()
			if err := c.Write(bounded.Context(t), m); err != nil {
				t.Fatal(err)
			}
		}
		say(websocket.Message{Type: websocket.Text, Data: make([]byte, 100)})
		if m, err := c.Read(bounded.Context(t)); err != nil || len(m.Data) != 100 {
			t.Errorf("got %d bytes, %v, want 100", len(m.Data), err)
		}
		say(tt.send)
		_, err := c.Read(bounded.Context(t))
		if e, ok := errors.AsType[*websocket.CloseError](err); !ok || e.Code != tt.code {
			t.Errorf("got %v, want %d", err, tt.code)
		}
	}
	bounded.Until(t, func() bool { return a.open.Load() == 0 })
	label := `{endpoint="front",server="` + a.id() + `"`
	r.metric(t, `handfast_server_connections_closed_total{code="1003",endpoint="front",server="`+a.id()+`"} 1`)
	r.metric(t, `handfast_server_connections_closed_total{code="1009",endpoint="front",server="`+a.id()+`"} 1`)
	r.metric(t, `handfast_server_messages_total{direction="out",endpoint="front",server="`+a.id()+`"} 4`)
	r.metric(t, `handfast_server_resumed_total`+label+`} 0`)
	if c, text := r.greeting(t, "/", &websocket.DialOptions{Subprotocols: []string{"other"}}); c.Subprotocol() != "" || !strings.HasPrefix(text, "a ") {
		t.Errorf("got subprotocol %q and greeting %q, want no subprotocol and the greeting of a", c.Subprotocol(), text)
	}
	if _, body := r.callAdmin(t, "GET", "/connections", nil); !strings.Contains(body, a.id()) {
		t.Errorf("/connections: got %s, want the server in it", body)
	}
}

// A client that was moved to another server is listed and logged with the new server: in /connections, in the log and in the audit
// log.
func TestBalanceHeldServer(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	r := run(t, parse(t, balancing([]*backend{a, b}, "hold: stateless")))
	c, text := r.greeting(t, "/", nil)
	first, last := a, b
	if text[:1] == "b" {
		first, last = b, a
	}
	if status, body := r.callAdmin(t, "POST", "/balance/drain", url.Values{"server": {first.id()}}); status != http.StatusOK {
		t.Fatalf("drain: got %d %s, want 200", status, body)
	}
	if m, err := c.Read(bounded.Context(t)); err != nil || string(m.Data[:1]) != last.name {
		t.Fatalf("got %q, %v, want the greeting of %s", m.Data, err, last.name)
	}
	if _, body := r.callAdmin(t, "GET", "/connections", nil); !strings.Contains(body, last.id()) || strings.Contains(body, first.id()) {
		t.Errorf("/connections: got %s, want only %s", body, last.id())
	}
	if err := c.Close(websocket.CodeNormal, ""); err != nil {
		t.Error(err)
	}
	bounded.Until(t, func() bool { return r.conns.Len() == 0 })
	waitForLog(t, &r.log, "msg=closed", "server="+last.id())
	waitForLog(t, &r.audited, `"disconnected"`, `"server":"`+last.id()+`"`, `"decision":"allow"`)
}

// A client that closes directly after its messages gets every reply, and then the server's close frame.
func TestBalanceMessagesHalfClose(t *testing.T) {
	a := newBackend(t, "a")
	r := run(t, parse(t, balancing([]*backend{a}, "messages: true")))
	c, _ := r.greeting(t, "/", &websocket.DialOptions{Conn: websocket.ConnOptions{HalfClose: true}})
	const n = 50
	for range n {
		if err := c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Shut(4000, "done"); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := c.Read(bounded.Context(t)); err != nil {
			t.Fatalf("reply %d of %d: %v", i+1, n, err)
		}
	}
	if _, err := c.Read(bounded.Context(t)); websocket.CloseCode(err) != 4000 {
		t.Errorf("got %v, want a close with 4000", err)
	}
	waitForLog(t, &r.log, "msg=closed", "code=4000")
}
