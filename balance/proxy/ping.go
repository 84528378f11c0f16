package proxy

import (
	"time"

	"github.com/handfast/handfast/websocket/protocol"
)

// asking is the state of the check whether a silent side is still alive.
type asking uint8

const (
	unasked asking = iota
	pinged         // a ping was sent to the side
	stuck          // the send buffer is full: accepting bytes also shows that the side is alive
)

// silence returns when the silence of s has to be handled, 0 for never.
func (t *Tunnel) silence(s side) time.Duration {
	f := &t.flows[s]
	switch {
	case t.ping == 0 || t.how != nil || t.flows[client].lost || t.flows[upstream].lost:
		return 0
	case f.asked == unasked:
		return f.at + t.ping
	}
	return f.at + 2*t.ping
}

// ask checks the sides that have been silent for long enough. If one of them has not replied, it begins to close the tunnel, and
// returns true. The silence of a side starts over if the side cannot get a ping because a frame to it is incomplete, or if nothing
// is read from the side because the other side's send buffer is full.
func (t *Tunnel) ask(now time.Duration) (gone bool) {
	due := false
	for s := range side(len(t.flows)) {
		f, to := &t.flows[s], &t.flows[s.other()]
		as := pinged
		if t.driver.waits(s) {
			as = stuck
		}
		switch by := t.silence(s); {
		case by == 0 || now < by:
		case t.driver.waits(s.other()):
			f.answered(now)
		case f.asked == as && !to.ping:
			t.silent(s)
			return true
		case as == stuck:
			f.asked, f.at = stuck, now-t.ping
		case f.asked == stuck || !to.cursor.Between():
			f.answered(now)
		default:
			f.asked, f.at, to.ping, due = pinged, now-t.ping, true, true
		}
	}
	if due {
		t.driver.nudge()
	}
	return false
}

// answered records that the source is still alive.
func (f *flow) answered(now time.Duration) { f.at, f.asked = now, unasked }

// took notes that s has accepted some of its queued bytes.
func (t *Tunnel) took(s side, now time.Duration) {
	if f := &t.flows[s]; f.asked == stuck {
		f.answered(now)
	}
}

// question returns the ping that is due for s, nil if there is none. The pong is passed on to the other side as an unsolicited
// pong, to which "a response [...] is not expected" (RFC 6455 §5.5.3).
func (t *Tunnel) question(s side, now time.Duration) []byte {
	to := &t.flows[s.other()]
	if !to.ping {
		return nil
	}
	to.ping = false
	if t.how != nil || t.driver.waits(s) || !to.cursor.Between() { // the state has changed since ask
		t.flows[s].answered(now)
		return nil
	}
	t.flows[s].at = now - t.ping
	m := protocol.Machine{Client: s == upstream}
	ping, _ := m.AppendPing(nil, nil, maskKey) // there is no error, because m is not closing
	return ping
}

// silent begins to close a tunnel because s does not reply. If the upstream is gone, the client gets the close frame for a lost
// upstream.
func (t *Tunnel) silent(s side) {
	t.limit(ReasonSilent)
	if s != upstream || t.lost == nil || t.flows[upstream].ended {
		return
	}
	if toClient, _, err := closeFrames(t.lost()); err == nil {
		t.flows[upstream].closes().frame = toClient
	}
}
