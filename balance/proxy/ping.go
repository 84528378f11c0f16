package proxy

import (
	"time"

	"github.com/handfast/handfast/websocket/protocol"
)

// asking is what has been done to find out whether a silent side is still there.
type asking uint8

const (
	unasked asking = iota
	pinged         // it was sent a ping
	stuck          // what waits for it cannot be written: that it takes some is an answer, too
)

// silence returns when something is to be done about the silence of s, 0 for never.
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

// ask asks the sides that have been silent for long enough. When one of them has not answered it begins to close the tunnel, and
// returns true. The silence of a side begins anew where it cannot be asked within a frame, or is not read from because the other one
// takes nothing.
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

// answered notes that the source is still there.
func (f *flow) answered(now time.Duration) { f.at, f.asked = now, unasked }

// took notes that some of what waited for s was written.
func (t *Tunnel) took(s side, now time.Duration) {
	if f := &t.flows[s]; f.asked == stuck {
		f.answered(now)
	}
}

// question returns the ping that is due to s now, nil for none. The pong passes on to the other side, as an unsolicited one, to which
// "a response [...] is not expected" (RFC 6455 §5.5.3).
func (t *Tunnel) question(s side, now time.Duration) []byte {
	to := &t.flows[s.other()]
	if !to.ping {
		return nil
	}
	to.ping = false
	if t.how != nil || t.driver.waits(s) || !to.cursor.Between() { // since ask
		t.flows[s].answered(now)
		return nil
	}
	t.flows[s].at = now - t.ping
	m := protocol.Machine{Client: s == upstream}
	ping, _ := m.AppendPing(nil, nil, maskKey) // m is not closing, so that there is no error
	return ping
}

// silent begins to close a tunnel of which s does not answer. A client whose server is gone learns that it should come back.
func (t *Tunnel) silent(s side) {
	t.limit(ReasonSilent)
	if s != upstream || t.lost == nil || t.flows[upstream].ended {
		return
	}
	if toClient, _, err := closeFrames(t.lost()); err == nil {
		t.flows[upstream].closes().frame = toClient
	}
}
