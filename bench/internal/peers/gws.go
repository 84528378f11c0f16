//go:build linux

package peers

import (
	"net"
	"net/http"

	"github.com/lxzan/gws"
)

type gwsHandler struct {
	gws.BuiltinEventHandler
	c       *Config
	members room[*gws.Conn]
}

func gwsServe(c *Config, ln net.Listener) error {
	o := &gws.ServerOption{ReadMaxPayloadSize: maxMessage, WriteMaxPayloadSize: maxMessage}
	if c.Compress != CompressNone {
		o.PermessageDeflate = gws.PermessageDeflate{
			Enabled:               true,
			ServerContextTakeover: c.Compress == CompressTakeover,
			ClientContextTakeover: c.Compress == CompressTakeover,
			ServerMaxWindowBits:   15,
			ClientMaxWindowBits:   15,
		}
	}
	u := gws.NewUpgrader(&gwsHandler{c: c}, o)
	return serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		conn, err := u.Upgrade(w, r)
		if err != nil {
			return
		}
		go conn.ReadLoop()
	})
}

func (h *gwsHandler) OnOpen(c *gws.Conn) {
	if h.c.Broadcast {
		h.members.enter(c)
	}
}

func (h *gwsHandler) OnClose(c *gws.Conn, _ error) {
	if h.c.Broadcast {
		h.members.leave(c)
	}
}

func (h *gwsHandler) OnMessage(c *gws.Conn, m *gws.Message) {
	defer func() { _ = m.Close() }() // Close returns the buffer to the pool, and always returns nil
	if !h.c.Broadcast {
		_ = c.WriteMessage(m.Opcode, m.Bytes()) // the read loop reports the error, too
		return
	}
	p := append([]byte(nil), m.Bytes()...) // a broadcast may continue after this function has returned
	for range times(p) {
		b := gws.NewBroadcaster(m.Opcode, p)
		h.members.all(b.Broadcast)
		_ = b.Close() // always returns nil
	}
}
