package explain

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/protocol"
)

const (
	maxFrames        = 1000        // kept frames of one step
	shownPayload     = 160         // displayed bytes of a payload
	streamEndTimeout = time.Second // limits the wait for the end of TCP after the closing handshake
	pingPayload      = "handfast"
)

// session is an open WebSocket.
type session struct {
	t    *tracer
	l    *link
	in   *inbound
	step *Step // the current step

	over  bool  // no more frames are read, because the session has ended
	why   error // the error that ended the session; nil for a close frame
	reset bool  // a write has failed because the server has reset the connection

	lastFrame time.Time // when the last frame was received
}

func newSession(t *tracer, l *link, rest []byte) *session {
	var inf *protocol.Inflater
	if t.deflate != nil {
		inf = protocol.NewInflater(t.deflate.ServerBits, !t.deflate.ServerNoTakeover)
	}
	return &session{t: t, l: l, in: newInbound(l, rest, inf), lastFrame: time.Now()}
}

// run performs the tests that the options request, and closes the connection.
func (s *session) run() {
	s.ping()
	if s.t.o.Echo != "" && !s.over {
		s.echo()
	}
	if s.t.o.ProbeIdle > 0 && !s.over {
		s.idle()
	}
	if s.t.o.Watch != 0 && !s.over {
		s.watch()
	}
	s.close()
	if s.t.body101 && !s.t.failed(FaultBody101) {
		s.t.warn(StageResponse, FaultBody101, "RFC 9110 §8.6", map[bool]string{false: "the 101 declares a body, which it cannot have", true: emptyBody101}[s.t.empty101])
	}
}

// ping sends a ping and measures the time until the pong. Frames that the server sends before the pong are recorded and checked.
func (s *session) ping() {
	const clause, text = "RFC 6455 §5.5.2", "a ping is answered with a pong that has the same payload"
	s.step = s.t.begin(StagePing, "ping")
	start := s.t.since()
	s.send(frame.Ping, []byte(pingPayload))
	other := ""
	for deadline := s.t.step(); !s.over; {
		f, err := s.next(deadline)
		switch {
		case err != nil && isTimeout(err) && !s.over:
			if s.frameStalled() {
				continue
			}
			detail := "no pong was received in time"
			if other != "" {
				detail = "no pong with the ping's payload was received in time, but " + other
			}
			s.step.Rules = append(s.step.Rules, Check{clause, text, false, detail})
			if !s.t.stopped(StagePing) {
				s.t.warn(StagePing, FaultNoPong, clause, detail)
			} else {
				s.over = true
			}
			s.t.end(s.step, "no pong")
			return
		case f != nil && f.Opcode == frame.Pong && string(f.payload) == pingPayload:
			s.t.r.Ping = s.t.since() - start
			s.step.Rules = append(s.step.Rules, Check{clause, text, true, ""})
			s.t.end(s.step, "round trip "+s.t.r.Ping.String())
			s.settle()
			return
		case f != nil && f.Opcode == frame.Pong:
			other = "one with the payload " + quote(s.preview(f.payload, utf8.Valid(f.payload)))
		}
	}
	s.ended(StagePing)
}

// settleTime is how long a server may take after the handshake to refuse the client, as Action Cable does, or to notice that what it runs
// has ended.
const settleTime = 100 * time.Millisecond

// settle waits for an early close.
func (s *session) settle() {
	if s.t.o.Echo != "" || s.t.o.ProbeIdle > 0 || s.t.o.Watch != 0 {
		return // these would see it
	}
	deadline := time.Now().Add(settleTime)
	if step := s.t.step(); step.Before(deadline) {
		deadline = step
	}
	for !s.over {
		if _, err := s.next(deadline); err != nil && !s.over {
			return
		}
	}
	s.ended(StagePing)
}

// frameStalled reports whether the server has sent only a part of a frame, and then nothing for almost StepTimeout. If so, it ends the
// session, because all later bytes would be part of this frame.
func (s *session) frameStalled() bool {
	short := s.in.incompleteFrame()
	if short == "" || s.t.ctx.Err() != nil || time.Since(s.in.lastRead) < s.t.o.StepTimeout*9/10 || !time.Now().Before(s.t.deadline) {
		return false
	}
	if s.over, s.why = true, s.in.miscount(); s.why == nil {
		s.why = &broken{FaultFrame, "RFC 6455 §5.2", short + "; then nothing more was received", 1002}
	}
	return true
}

// echo sends a message and waits for its echo.
func (s *session) echo() {
	s.step = s.t.begin(StageEcho, "send a message")
	start := s.t.since()
	s.send(frame.Text, []byte(s.t.o.Echo))
	others := 0
	for deadline := s.t.step(); !s.over; {
		f, err := s.next(deadline)
		switch {
		case err != nil && isTimeout(err) && !s.over:
			if s.frameStalled() {
				continue
			}
			detail := "no message was received in time"
			if others > 0 {
				detail = count(others, "message was received", "messages were received") + ", but not the one that was sent"
			}
			s.step.OK = false
			if !s.t.stopped(StageEcho) {
				s.t.warn(StageEcho, FaultNoEcho, "", detail)
			} else {
				s.over = true
			}
			s.t.end(s.step, detail)
			return
		case f == nil || f.Opcode.Control() || !f.done:
		case string(f.message) == s.t.o.Echo && f.Opcode == frame.Binary:
			s.step.OK = false
			s.t.warn(StageEcho, FaultNoEcho, "", sentAsBinary)
			s.t.end(s.step, sentAsBinary)
			return
		case string(f.message) == s.t.o.Echo:
			s.t.end(s.step, "the same message was received after "+(s.t.since()-start).String())
			return
		default:
			others++
		}
	}
	s.ended(StageEcho)
}

// watch reads frames until the time limit, or until the server or the caller ends the connection.
func (s *session) watch() {
	s.step = s.t.begin(StageWatch, "watch frames")
	deadline, restore := s.extend(s.t.o.Watch)
	defer restore()
	n := 0
	for !s.over {
		f, err := s.next(deadline)
		if f != nil {
			n++
		}
		if err != nil && isTimeout(err) && !s.over {
			s.t.end(s.step, count(n, "frame", "frames")+" received")
			return
		}
	}
	s.ended(StageWatch)
}

// noLimit is the time limit of a watch without a limit.
const noLimit = 10 * 365 * 24 * time.Hour

// extend replaces the overall time limit with the limit d for one step. restore restores the overall limit, extended by the duration of the
// step.
func (s *session) extend(d time.Duration) (deadline time.Time, restore func()) {
	if d < 0 {
		d = noLimit
	}
	start, was := time.Now(), s.t.deadline
	deadline = start.Add(d)
	s.t.deadline = deadline.Add(s.t.o.StepTimeout)
	return deadline, func() { s.t.deadline = was.Add(time.Since(start)) }
}

// next reads a frame and reacts as an endpoint must: it replies to pings and close frames, and fails the connection if a rule is
// violated. If the deadline expires, the session continues.
func (s *session) next(deadline time.Time) (*incoming, error) {
	f, err := s.in.next(deadline)
	rule, isBroken := errors.AsType[*broken](err)
	if f != nil {
		s.lastFrame = time.Now()
		s.record(s.describe(f, rule))
	}
	switch {
	case isBroken:
		s.over, s.why = true, err
		s.sendClose(rule.code, "")
		return f, err
	case err != nil && isTimeout(err):
		return nil, err
	case err != nil:
		s.over, s.why = true, s.cause(err)
		return nil, err
	case f.Opcode == frame.Ping:
		s.send(frame.Pong, f.payload)
	case f.Opcode == frame.Close:
		s.over = true
		s.t.r.Close = &Close{By: "server", Code: f.code, Reason: s.reason(f.payload), How: "close frame", Clean: true}
		s.sendClose(f.code, string(f.payload[min(2, len(f.payload)):]))
		s.drain()
	}
	return f, nil
}

// drain waits a moment until the server closes the TCP connection, as it should (RFC 6455 §7.1.1), and returns what happened.
func (s *session) drain() string {
	s.l.bound(s.t.until(streamEndTimeout))
	start := s.t.since()
	_, err := io.CopyN(io.Discard, s.l, 1<<20)
	took := s.t.since() - start
	switch {
	case err == nil:
		return "left open by the server, which keeps sending"
	case isTimeout(err):
		return "left open by the server"
	case isReset(err):
		return "reset (RST) by the server within " + took.String()
	}
	return "closed by the server within " + took.String()
}

// ended ends the step in which the session ended, and records the reason.
func (s *session) ended(stage Stage) {
	s.step.OK = false
	switch {
	case s.t.r.Close != nil && s.why == nil:
		s.closed(stage)
	case s.why == nil: // frameStalled or the step itself has recorded the end
	default:
		s.endedAbnormally(stage)
	}
}

// closed records a close frame that the server sent before the client did.
func (s *session) closed(stage Stage) {
	c := s.t.r.Close
	detail := fmt.Sprintf("the server closed with %d", c.Code)
	if c.Reason != "" {
		detail += " " + quote(c.Reason)
	}
	switch {
	case stage == StageWatch:
		s.step.OK = true
	case c.Code == 1000:
		detail += map[bool]string{true: " before sending any message", false: " after sending " + count(s.in.data, "message", "messages")}[s.in.data == 0]
		s.t.warn(stage, FaultClosedAtOnce, "RFC 6455 §7.4", detail)
	default:
		s.t.fail(stage, FaultClosedAtOnce, "RFC 6455 §7.4", detail)
	}
	s.t.end(s.step, detail)
}

// endedAbnormally records an end of the session without a close frame from the server.
func (s *session) endedAbnormally(stage Stage) {
	c := &Close{By: "server", Code: 1006, How: streamEnd(s.why)}
	s.t.r.Close = c
	if rule, ok := errors.AsType[*broken](s.why); ok {
		c.By, c.Code, c.How = "client", rule.code, "close frame"
		fault, clause, detail := rule.fault, rule.clause, rule.detail
		if s.t.body101 {
			fault, clause, detail = FaultBody101, "RFC 9110 §8.6", "the 101 declares a body; the bytes after it were read as frames: "+detail
			s.t.r.Opened = false // the bytes after the 101 are probably the declared body
		}
		s.step.Rules = append(s.step.Rules, Check{rule.clause, "the server's frames follow the rules", false, rule.detail})
		s.t.fail(stage, fault, clause, detail)
		s.t.end(s.step, rule.detail)
		return
	}
	if s.t.stopped(stage) {
		c.By, c.How = "client", "timeout"
		s.t.end(s.step, "stopped")
		return
	}
	detail := "the server closed the connection (" + c.How + ") without a close frame"
	if s.in.frame != nil || len(s.in.buf) > 0 {
		detail += ", in the middle of a frame"
	}
	if s.in.frame != nil {
		detail += ": " + s.in.incompleteFrame()
	}
	if rule, ok := errors.AsType[*broken](s.in.miscount()); ok {
		s.t.fail(stage, rule.fault, rule.clause, rule.detail)
		s.t.end(s.step, rule.detail)
		return
	}
	s.t.fail(stage, FaultNoCloseFrame, "RFC 6455 §7.1.4", detail)
	s.t.end(s.step, detail)
}

// cause returns the error that ended the stream. err is the error of a read, which may follow a failed write.
func (s *session) cause(err error) error {
	if s.reset && isEOF(err) {
		return syscall.ECONNRESET
	}
	return err
}

// streamEnd returns how a stream ended, in the form of Close.How.
func streamEnd(err error) string {
	switch {
	case isReset(err):
		return "RST"
	case isTimeout(err):
		return "timeout"
	}
	return "FIN"
}

// describe returns a received frame for the report. rule is the rule that the frame violates, or nil if there is none.
func (s *session) describe(f *incoming, rule *broken) Frame {
	out := Frame{
		At: s.t.since(), Opcode: f.Opcode.String(), Fin: f.Fin, RSV: int(f.RSV), Masked: f.Masked, Length: f.Length,
		Compressed: f.compressed,
	}
	if rule != nil {
		out.Error = rule.detail
		if rule.fault == FaultGarbage {
			out = Frame{At: out.At, Error: rule.detail, Opcode: "none", Preview: s.preview(s.in.buf[:min(len(s.in.buf), violationBytes)], true)}
		}
	}
	switch {
	case f.Opcode == frame.Close && out.Opcode == "close":
		out.Code, out.Preview = f.code, s.reason(f.payload)
	case f.done && f.compressed:
		out.Inflated = f.size
		out.Preview = s.preview(f.message, f.text)
	case out.Opcode != "none":
		if !f.compressed {
			out.Preview = s.preview(f.payload, f.text || f.Opcode == frame.Text || f.Opcode.Control() && utf8.Valid(f.payload))
		}
	}
	return out
}

// preview formats the beginning of a payload for display.
func (s *session) preview(b []byte, text bool) string {
	if len(b) == 0 {
		return ""
	}
	clean := s.t.hide.text(string(b[:min(len(b), 64<<10)]))
	if text {
		return visible.Cut(oneLine(clean), shownPayload)
	}
	if n := 32; len(clean) > n {
		return fmt.Sprintf("% x …", clean[:n])
	}
	return fmt.Sprintf("% x", clean)
}

// reason returns the reason of a close frame for display.
func (s *session) reason(b []byte) string {
	if len(b) <= 2 {
		return ""
	}
	return oneLine(s.t.hide.text(string(b[2:])))
}

// record adds a frame to the step and, during a watch, passes it to OnFrame.
func (s *session) record(f Frame) {
	if s.t.hide.all(&f); len(s.step.Frames) < maxFrames {
		s.step.Frames = append(s.step.Frames, f)
	}
	if s.t.o.OnFrame != nil && s.step.Stage == StageWatch {
		s.t.o.OnFrame(f)
	}
}

// send sends and records a frame that the Machine creates.
func (s *session) send(op frame.Opcode, payload []byte) {
	var b []byte
	var err error
	switch op {
	case frame.Ping:
		b, err = s.in.m.AppendPing(nil, payload, s.t.requester.maskKey)
	case frame.Pong:
		b = s.in.m.AppendPong(nil, payload, s.t.requester.maskKey)
	default:
		var h frame.Header
		h, err = s.in.m.BeginFrame(op == frame.Text, false, true, len(payload), s.t.requester.maskKey())
		b = append(frame.Append(nil, h), payload...)
		frame.Mask(b[len(b)-len(payload):], h.Key)
	}
	if err == nil {
		s.write(b, Frame{Opcode: op.String(), Length: int64(len(payload)), Preview: s.preview(payload, utf8.Valid(payload))})
	}
}

// sendClose sends the client's close frame, unless it was sent before. Code 1005 means a frame without a code.
func (s *session) sendClose(code int, reason string) {
	b, err := s.in.m.AppendClose(nil, uint16(code), reason, s.t.requester.maskKey)
	if err != nil {
		return
	}
	f := Frame{Opcode: frame.Close.String(), Code: code, Preview: oneLine(s.t.hide.text(reason))}
	if code != 1005 {
		f.Length = int64(2 + len(reason))
	}
	s.write(b, f)
}

// write writes and records a frame. The next read determines how the connection ended if writing fails.
func (s *session) write(b []byte, shown Frame) {
	shown.At, shown.Sent, shown.Fin, shown.Masked = s.t.since(), true, true, true
	s.record(shown)
	s.l.bound(s.t.step())
	switch _, err := s.l.Write(b); {
	case isReset(err):
		s.reset = true // the kernel reports a reset only once: the next read may return io.EOF
	case err != nil && s.why == nil:
		s.step.Facts = append(s.step.Facts, Fact{"sending", "failed: " + shortError(err)})
	}
}

// maskKey returns a new masking key.
func (t *requester) maskKey() (key [4]byte) {
	io.ReadFull(t.o.rand, key[:]) //nolint:errcheck // newKey has already read from the same source without an error
	return key
}
