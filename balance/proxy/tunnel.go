package proxy

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/loop"
	"github.com/handfast/handfast/websocket/protocol"
)

const (
	// closeTimeout is how long a closing tunnel waits for its peers.
	closeTimeout = 5 * time.Second

	// halfOpenTimeout is how long a tunnel may pass no byte after one side has ended and the other has not.
	halfOpenTimeout = time.Minute
)

// ErrUnanswered indicates that the closing handshake was not completed in time.
var ErrUnanswered = errors.New("the close frame was not answered in time")

// side is one of the two peers of a tunnel.
type side uint8

const (
	client side = iota
	upstream
)

func (s side) other() side { return 1 - s }

func (s side) String() string { return [...]string{"client", "upstream"}[s] }

// Tunnel carries the bytes of one connection between a client and an upstream. Its methods may be called concurrently, and do not
// wait for a peer.
type Tunnel struct {
	carrier *Carrier
	done    func(*Tunnel, error)
	since   int64 // when the tunnel began, in Unix nanoseconds

	// mu guards the fields below, and the driver's ends.
	mu         sync.Mutex
	driver     driver
	flows      [2]flow // by the sending side
	readEnded  [2]bool // the side has ended its stream
	writeEnded [2]bool // the side accepts no more bytes
	eofSent    [2]bool // the end of the stream was sent to the side
	shut       bool    // a close frame has been sent, or is due, to both sides
	terminated bool    // both connections are closed, or about to be
	closeErr   *websocket.CloseError
	err        *sideError // the first failure after closeErr was set

	lost func() (websocket.Code, string) // as in TunnelOptions

	// Times of the driver's clock; 0 means none.
	idle    time.Duration // as in TunnelOptions
	ping    time.Duration // as in TunnelOptions
	active  time.Duration // time of the last activity
	expires time.Duration // end of the lifetime; before start, its length
	cutAt   time.Duration // when the connections will be cut
}

// driver moves the bytes of a tunnel.
type driver interface {
	// wake makes the driver soon do the work that is due. The caller holds mu.
	wake()

	// hasQueued reports whether bytes are queued for s. The caller holds mu.
	hasQueued(s side) bool
}

// Shut sends a close frame to the client and one to the upstream, each after the frame that is being sent. Later data of either is
// discarded (RFC 6455 §5.5.1). When both have replied, or after 5 seconds, the connections are closed. A side gets no close frame
// if its current frame did not end in that time, or if the bytes are not WebSocket frames, and no second one if it has received the
// close frame of the other side.
//
// CodeNoStatus makes a frame without a code. Any other code that must not be sent is an error; a reason longer than 123 bytes is
// truncated. Shut does nothing if the Tunnel is already closing.
func (t *Tunnel) Shut(code websocket.Code, reason string) error {
	toClient, toUpstream, err := closeFrames(code, reason)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.shut && !t.terminated {
		t.begin(code, reason, toClient, toUpstream)
		t.driver.wake()
	}
	return nil
}

// CloseNow closes both connections, without a close frame. It returns nil.
func (t *Tunnel) CloseNow() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.terminated {
		t.terminated = true
		if t.closeErr == nil {
			t.closeErr = closedNow()
		}
		t.driver.wake()
	}
	return nil
}

// closedNow is the error of a tunnel that CloseNow has ended.
func closedNow() *websocket.CloseError {
	return &websocket.CloseError{Code: websocket.CodeAbnormal, Err: net.ErrClosed}
}

// Bytes returns the number of bytes that have arrived from each side.
func (t *Tunnel) Bytes() (fromClient, fromUpstream int64) {
	s := t.State()
	return s.FromClient.Bytes, s.FromUpstream.Bytes
}

// traffic implements carriage.
func (t *Tunnel) traffic() Traffic {
	in, out := t.Bytes()
	return Traffic{FromClients: in, FromServer: out}
}

// Count counts the bytes that have arrived from one side of a Tunnel.
type Count struct {
	Bytes  int64 // including frame headers
	Frames int64 // WebSocket frames of any kind
}

// TunnelState is a snapshot of a Tunnel.
type TunnelState struct {
	Since        time.Time // when the tunnel began
	FromClient   Count
	FromUpstream Count
	Closing      bool // Shut was called, or a side has ended its stream or sent a close frame
}

// State returns the state of the Tunnel.
func (t *Tunnel) State() TunnelState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return TunnelState{
		Since:        time.Unix(0, t.since),
		FromClient:   Count{t.flows[client].bytes, t.flows[client].frames},
		FromUpstream: Count{t.flows[upstream].bytes, t.flows[upstream].frames},
		Closing:      t.closeErr != nil,
	}
}

// closeFrames returns the close frames for both sides: a server's to the client, a client's to the upstream.
func closeFrames(code websocket.Code, reason string) (toClient, toUpstream []byte, err error) {
	server, peer := protocol.Machine{}, protocol.Machine{Client: true}
	if toClient, err = server.AppendClose(nil, uint16(code), reason, nil); err != nil {
		return nil, nil, fmt.Errorf("proxy: close frame with %d: %w", code, err)
	}
	toUpstream, err = peer.AppendClose(nil, uint16(code), reason, maskKey)
	return toClient, toUpstream, err
}

// maskKey returns a masking key "from a strong source of entropy" (RFC 6455 §5.3).
func maskKey() (key [4]byte) {
	rand.Read(key[:]) //nolint:errcheck // crypto/rand.Read never fails
	return key
}

// begin requests that both close frames are inserted. The caller holds mu, as for all methods below.
func (t *Tunnel) begin(code websocket.Code, reason string, toClient, toUpstream []byte) {
	t.shut = true
	if t.closeErr == nil {
		t.closeErr = &websocket.CloseError{Code: code, Reason: reason}
	}
	t.flows[upstream].ensureEnd().frame, t.flows[client].ensureEnd().frame = toClient, toUpstream
	for s := range t.flows {
		if t.eofSent[side(s).other()] || t.readEnded[s] && !t.flows[s].due() {
			t.flows[s].ended = true
		}
	}
}

// start begins the times of the tunnel at now.
func (t *Tunnel) start(now time.Duration) {
	t.active = now
	for s := range t.flows {
		t.flows[s].markAlive(now)
	}
	if t.expires > 0 {
		t.expires += now
	}
}

// receive takes bytes from s, and returns the bytes for the other side: the part to pass on, and a frame to insert after it.
func (t *Tunnel) receive(s side, b []byte, now time.Duration) (through, inserted []byte) {
	f := &t.flows[s]
	was := f.closed
	f.markAlive(now)
	through, inserted = f.pass(b)
	if f.activity || t.ping == 0 {
		t.active, f.activity = now, false
	}
	if f.closed && !was {
		if t.closeErr == nil {
			code, reason := f.reason()
			t.closeErr = &websocket.CloseError{Code: code, Reason: reason, ByPeer: s == client}
		}
		if t.flows[s.other()].closed {
			t.scheduleCut(now)
		}
	}
	if t.writeEnded[s.other()] {
		return nil, nil
	}
	return through, inserted
}

// dueFrame returns the frame that is due for s, or nil if there is none.
func (t *Tunnel) dueFrame(s side, now time.Duration) []byte {
	if f := &t.flows[s.other()]; f.due() && !t.writeEnded[s] {
		return f.insert()
	}
	return t.duePing(s, now)
}

// streamEnded notes that s has ended its stream, with an error other than io.EOF if it failed. TLS without close_notify is a
// failure, unless a close frame was received: many peers omit the close_notify after a close frame.
func (t *Tunnel) streamEnded(s side, err error, now time.Duration) {
	if err == loop.ErrTruncated && t.flows[s].closed { //nolint:errorlint // loop.ErrTruncated is never wrapped
		err = io.EOF
	}
	t.active = now
	t.readEnded[s] = true
	if f := &t.flows[s]; f.closeRequested() && !f.due() {
		f.ended = true
	}
	if err == io.EOF { //nolint:errorlint // a reader returns io.EOF unwrapped
		if !t.flows[s].closed {
			t.recordError(s, io.ErrUnexpectedEOF)
			t.closeForLostUpstream(s)
		}
		return
	}
	t.recordError(s, err)
	t.writeEnded[s] = true
	t.closeForLostUpstream(s)
	t.scheduleCut(now)
}

// closeForLostUpstream gives the client a close frame if its upstream has ended without one, at the end of a frame.
func (t *Tunnel) closeForLostUpstream(s side) {
	f := &t.flows[upstream]
	if s != upstream || t.lost == nil || t.shut || t.readEnded[client] || t.flows[client].closed || f.unframed || !f.cursor.Between() {
		return
	}
	toClient, toUpstream, err := closeFrames(t.lost())
	if err != nil {
		return // the stream ends without a close frame
	}
	t.begin(websocket.CodeAbnormal, "", toClient, toUpstream) // recordError has recorded the reason
	t.flows[client].ended = true                              // nothing more passes to the client
	t.driver.wake()
}

// writeFailed notes that s accepts no more bytes.
func (t *Tunnel) writeFailed(s side, err error, now time.Duration) {
	t.writeEnded[s] = true
	t.recordError(s, err)
	t.scheduleCut(now)
}

// recordError records a failure.
func (t *Tunnel) recordError(s side, err error) {
	e := &sideError{s, err}
	if t.closeErr == nil {
		t.closeErr = &websocket.CloseError{Code: websocket.CodeAbnormal, ByPeer: s == client, Err: e}
	} else if t.err == nil {
		t.err = e
	}
}

// sideError is an error of one side's connection.
type sideError struct {
	s   side
	err error
}

// Error names the side.
func (e *sideError) Error() string { return "the " + e.s.String() + ": " + e.err.Error() }

// Unwrap returns the error of the connection.
func (e *sideError) Unwrap() error { return e.err }

// scheduleCut sets the time when the connections are cut.
func (t *Tunnel) scheduleCut(now time.Duration) {
	if t.cutAt == 0 {
		t.cutAt = now + closeTimeout
	}
}

// isDone reports whether nothing more is expected from s. An upstream is expected to end its stream, because the server closes the
// TCP connection first (RFC 6455 §7.1.1).
func (t *Tunnel) isDone(s side) bool {
	return t.readEnded[s] || t.shut && s == client && t.flows[client].closed
}

// takeEOF reports whether s has to receive the end of its stream now, after everything queued for it. It returns true once.
func (t *Tunnel) takeEOF(s side) bool {
	from := &t.flows[s.other()]
	all := t.readEnded[s.other()] && !from.due() || t.shut && from.ended && (from.unframed || t.isDone(s))
	if !all || t.eofSent[s] || t.writeEnded[s] {
		return false
	}
	t.eofSent[s] = true
	return true
}

// bothDone reports whether neither side has data to send or to receive, apart from queued data. If the client's connection has
// failed, data that the upstream still sends does not matter.
func (t *Tunnel) bothDone() bool {
	gone := t.readEnded[client] && t.writeEnded[client]
	return (gone || t.isDone(client) && t.isDone(upstream)) && !t.flows[client].due() && !t.flows[upstream].due()
}

// checkLimits enforces the time limits, and returns when to look again, or 0 for never.
func (t *Tunnel) checkLimits(now time.Duration) (next time.Duration) {
	if t.shut {
		t.scheduleCut(now)
	}
	switch {
	case t.terminated:
		return 0
	case t.cutAt != 0:
		t.terminated = now >= t.cutAt
		return t.cutAt
	case t.readEnded[client] || t.readEnded[upstream]:
		idle := t.active + halfOpenTimeout
		if t.idle > 0 {
			idle = t.active + min(t.idle, halfOpenTimeout)
		}
		t.terminated = now >= idle
		return idle
	}
	reason, next := limits{t.idle, t.expires}.reached(t.active, now)
	switch {
	case reason != "":
		t.closeForLimit(reason)
	case t.checkSilence(now):
	default:
		return t.nextCheck(next)
	}
	t.scheduleCut(now)
	return t.cutAt
}

// nextCheck returns the earlier of the given time and the time when a side's silence has to be handled, or 0 for never.
func (t *Tunnel) nextCheck(next time.Duration) time.Duration {
	for _, at := range [...]time.Duration{t.silenceDeadline(client), t.silenceDeadline(upstream)} {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// closeForLimit begins to close the tunnel because of a limit.
func (t *Tunnel) closeForLimit(reason string) {
	toClient, toUpstream, err := closeFrames(websocket.CodeGoingAway, reason)
	if err != nil { // never happens: the code may be sent
		t.terminated = true
		return
	}
	t.begin(websocket.CodeGoingAway, reason, toClient, toUpstream)
	t.driver.wake()
}

// reportEnd reports the end, after both connections are closed. The caller does not hold mu.
func (t *Tunnel) reportEnd() {
	t.mu.Lock()
	how := &websocket.CloseError{Code: websocket.CodeAbnormal}
	if t.closeErr != nil {
		*how = *t.closeErr
	}
	answered := t.flows[client].closed && (t.shut || t.flows[upstream].closed)
	if how.Err == nil && !answered {
		if how.Err = ErrUnanswered; t.err != nil {
			how.Err = t.err
		}
	}
	t.mu.Unlock()
	t.carrier.remove(t)
	if t.done != nil {
		t.done(t, how)
	}
}
