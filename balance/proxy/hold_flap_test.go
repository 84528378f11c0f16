package proxy

import (
	"testing"
	"time"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/websocket"
)

// Servers that accept a connection and go away at once, as one that drains may, are no servers to go on at: the client is closed when it
// has waited for long enough, and they get few handshakes meanwhile.
func TestHoldFlapping(t *testing.T) {
	for name, end := range map[string]func(c *websocket.Conn){
		"cut":             func(c *websocket.Conn) { c.CloseNow() },
		"service restart": func(c *websocket.Conn) { c.Close(websocket.CodeServiceRestart, "") },
		"with a greeting": func(c *websocket.Conn) {
			if c.Write(bounded.Context(t), websocket.Message{Type: websocket.Text, Data: []byte("welcome")}) == nil {
				c.Close(websocket.CodeServiceRestart, "")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, z := speak(t, end), speak(t, end)
			s := holding
			s.Hold.Wait = 500 * time.Millisecond
			b := newBalancer(t, s, a.addr(), z.addr())
			k := talk(t, b, nil)
			ctx := bounded.Context(t)
			for {
				if _, err := k.Read(ctx); err != nil {
					if code := websocket.CloseCode(err); code != websocket.CodeServiceRestart {
						t.Errorf("closed: %v", err)
					}
					break
				}
			}
			bounded.Receive(t, k.ended)
			if n := len(a.opens) + len(z.opens); n > 30 {
				t.Errorf("%d handshakes", n)
			}
		})
	}
}
