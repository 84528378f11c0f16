package gateway

import (
	"encoding/json"
	"math"
	"time"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/observe"
	"github.com/handfast/handfast/websocket"
)

// revoked records that a revocation has closed n connections.
func (s *recorder) revoked(r auth.Revocation, n int) {
	s.metrics.Revoked.Add(float64(n))
	s.log.Info(observe.EventRevoked, observe.KeyUser, r.Subject, observe.KeyCount, n)
	s.audit.log(observe.AuditClosing, observe.KeyUser, r.Subject, observe.KeyReason, auth.ReasonRevoked, observe.KeyCount, n)
}

// warn sends {"type":"refresh","expires_in":30}: the connection will be closed in that many seconds. Tunnels are not warned.
func warn(h auth.Handle, left time.Duration) {
	c, ok := h.(interface {
		SendPrepared(ps ...*websocket.Prepared) error
	})
	if !ok {
		return
	}
	text, err := json.Marshal(struct {
		Type string `json:"type"`
		In   int    `json:"expires_in"`
	}{"refresh", int(math.Ceil(left.Seconds()))})
	if err != nil {
		return // marshaling a string and a number does not fail
	}
	p, err := websocket.Prepare(websocket.Message{Type: websocket.Text, Data: text})
	if err != nil {
		return // cannot happen: the text is valid UTF-8
	}
	_ = c.SendPrepared(p) // a peer that does not read is closed soon anyway
}
