package websocket

import (
	"net/http"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/internal/bounded"
)

// A connection on the event loop reports its subprotocol, which is chosen from the Endpoint's list or by an Admission.
func TestEventSubprotocol(t *testing.T) {
	opened := make(chan string, 1)
	open := func(s Sender) Receiver {
		opened <- s.Subprotocol()
		return echoReceiver{s}
	}
	e := &Endpoint{Open: open, Accept: AcceptOptions{Subprotocols: []string{"first", "second"}}}
	e.Admit = func(r *http.Request) (*Admission, error) {
		return &Admission{Subprotocol: r.Header.Get("X-Choose")}, nil
	}
	addr := serveOwn(t, ownServer(e))
	for _, tt := range []struct{ offered, choose, want string }{
		{"", "", ""},
		{"other", "", ""},
		{"second, first", "", "first"},
		{"second", "", "second"},
		{"second, first", "second", "second"},
		{"other, first", "other", "other"},
	} {
		request := sampleRequest
		if tt.offered != "" {
			request += "Sec-WebSocket-Protocol: " + tt.offered + "\r\n"
		}
		r, nc, _ := exchangeHead(t, addr, strings.TrimSuffix(request, "\r\n")+"\r\nX-Choose: "+tt.choose+"\r\n\r\n")
		if got := bounded.Receive(t, opened); r.StatusCode != 101 || got != tt.want || r.Header.Get("Sec-WebSocket-Protocol") != tt.want {
			t.Errorf("%+v: %s, %q at the server, %q at the client", tt, r.Status, got, r.Header.Get("Sec-WebSocket-Protocol"))
		}
		nc.Close()
	}
}
