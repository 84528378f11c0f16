package proxy

import (
	"time"

	"github.com/handfast/handfast/websocket/protocol"
)

// probeState is the state of the check whether a silent side is still alive.
type probeState uint8

const (
	notProbed    probeState = iota
	pingSent                // a ping was sent to the side
	writeBlocked            // the send buffer is full: accepting bytes also shows that the side is alive
)

// silenceDeadline returns when the silence of s has to be handled, or 0 for never.
func (t *Tunnel) silenceDeadline(s side) time.Duration {
	f := &t.flows[s]
	switch {
	case t.ping == 0 || t.closeErr != nil || t.flows[client].unframed || t.flows[upstream].unframed:
		return 0
	case f.probe == notProbed:
		return f.lastAlive + t.ping
	}
	return f.lastAlive + 2*t.ping
}

// checkSilence checks the sides that have been silent for long enough. If one of them has not replied, it begins to close the
// tunnel, and returns true. The silence of a side starts over if the side cannot get a ping because a frame to it is incomplete, or
// if nothing is read from the side because the other side's send buffer is full.
func (t *Tunnel) checkSilence(now time.Duration) (gone bool) {
	due := false
	for s := range side(len(t.flows)) {
		f, to := &t.flows[s], &t.flows[s.other()]
		want := pingSent
		if t.driver.hasQueued(s) {
			want = writeBlocked
		}
		switch deadline := t.silenceDeadline(s); {
		case deadline == 0 || now < deadline:
		case t.driver.hasQueued(s.other()):
			f.markAlive(now)
		case f.probe == want && !to.pingDue:
			t.closeSilent(s)
			return true
		case want == writeBlocked:
			f.probe, f.lastAlive = writeBlocked, now-t.ping
		case f.probe == writeBlocked || !to.cursor.Between():
			f.markAlive(now)
		default:
			f.probe, f.lastAlive, to.pingDue, due = pingSent, now-t.ping, true, true
		}
	}
	if due {
		t.driver.wake()
	}
	return false
}

// markAlive records that the source is still alive.
func (f *flow) markAlive(now time.Duration) { f.lastAlive, f.probe = now, notProbed }

// noteProgress notes that s has accepted some of its queued bytes.
func (t *Tunnel) noteProgress(s side, now time.Duration) {
	if f := &t.flows[s]; f.probe == writeBlocked {
		f.markAlive(now)
	}
}

// duePing returns the ping that is due for s, or nil if there is none. The pong is passed on to the other side as an unsolicited
// pong, to which "a response [...] is not expected" (RFC 6455 §5.5.3).
func (t *Tunnel) duePing(s side, now time.Duration) []byte {
	to := &t.flows[s.other()]
	if !to.pingDue {
		return nil
	}
	to.pingDue = false
	if t.closeErr != nil || t.driver.hasQueued(s) || !to.cursor.Between() { // the state has changed since checkSilence
		t.flows[s].markAlive(now)
		return nil
	}
	t.flows[s].lastAlive = now - t.ping
	m := protocol.Machine{Client: s == upstream}
	ping, _ := m.AppendPing(nil, nil, maskKey) // there is no error, because m is not closing
	return ping
}

// closeSilent begins to close a tunnel because s does not reply. If the upstream is gone, the client gets the close frame for a
// lost upstream.
func (t *Tunnel) closeSilent(s side) {
	t.closeForLimit(ReasonSilent)
	if s != upstream || t.lost == nil || t.flows[upstream].ended {
		return
	}
	if toClient, _, err := closeFrames(t.lost()); err == nil {
		t.flows[upstream].ensureEnd().frame = toClient
	}
}
