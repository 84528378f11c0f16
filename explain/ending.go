package explain

import (
	"errors"
	"fmt"
	"time"

	"github.com/handfast/handfast/websocket/frame"
)

// close performs the closing handshake (RFC 6455 §7.1.2), unless the connection has already ended.
func (s *session) close() {
	if s.over {
		return
	}
	const clause, text = "RFC 6455 §5.5.1", "a close frame is answered with a close frame"
	if s.t.ctx.Err() != nil { // the caller has stopped the watch: allow a moment for the closing handshake
		s.l.detachContext()
		s.t.deadline = time.Now().Add(streamEndTimeout)
	}
	s.step = s.t.begin(StageClose, "close")
	s.sendClose(1000, "")
	c := &Close{By: "client", Code: 1000, How: "close frame"}
	s.t.r.Close = c
	for deadline := s.t.step(); ; {
		f, err := s.in.next(deadline)
		rule, isBroken := errors.AsType[*broken](err)
		if f != nil {
			s.record(s.describe(f, rule))
		}
		switch {
		case isBroken:
			s.why = err
			s.endedAbnormally(StageClose)
			return
		case err != nil:
			s.unanswered(err, clause, text)
			return
		case f.Opcode == frame.Close:
			c.Clean = true
			detail := fmt.Sprintf("its code is %d", f.code)
			s.step.Rules = append(s.step.Rules, Check{clause, text, true, detail})
			s.step.Facts = append(s.step.Facts, Fact{"TCP", s.drain()})
			s.t.end(s.step, "clean, with code 1000")
			return
		}
	}
}

// unanswered records that the server did not reply to a close frame.
func (s *session) unanswered(err error, clause, text string) {
	c := s.t.r.Close
	c.How = streamEnd(s.cause(err))
	if short := s.in.incompleteFrame(); short != "" && s.t.ctx.Err() == nil {
		detail := short + " before the connection ended"
		if rule, ok := errors.AsType[*broken](s.in.miscount()); ok {
			detail = rule.detail
		}
		s.step.Rules = append(s.step.Rules, Check{"RFC 6455 §5.2", "a frame has as many bytes as its header declares", false, detail})
		s.t.fail(StageClose, FaultFrame, "RFC 6455 §5.2", detail)
		s.t.end(s.step, detail)
		return
	}
	detail := "the server closed the connection (" + c.How + ") instead of answering"
	fault := FaultNoCloseFrame
	if isTimeout(err) {
		detail, fault = "no close frame was received in time", FaultNoCloseAnswer
	}
	s.step.Rules = append(s.step.Rules, Check{clause, text, false, detail})
	s.t.warn(StageClose, fault, clause, detail)
	s.t.end(s.step, detail)
}

// idle measures how long the connection stays open while nothing is sent.
func (s *session) idle() {
	limit := s.t.o.ProbeIdle
	s.step = s.t.begin(StageIdle, "keep the connection idle, for up to "+limit.String())
	i := &Idle{Max: Duration(limit)}
	s.t.r.Idle = i
	start := s.lastFrame
	deadline, restore := s.extend(limit)
	defer restore()
	for !s.over {
		f, err := s.next(deadline)
		switch {
		case err != nil && isTimeout(err) && !s.over:
			i.Held = Duration(time.Since(start))
			s.pingAfterIdle(i)
			return
		case f != nil && f.Opcode != frame.Close: // a frame from the server restarts the silence
			if f.Opcode == frame.Ping {
				i.Pings++
			}
			start = s.lastFrame
		}
	}
	end := time.Now()
	if s.why == nil { // ended with a close frame: do not count the wait for the end of TCP
		end = s.lastFrame
	}
	i.Held = Duration(end.Sub(start))
	if _, ok := errors.AsType[*broken](s.why); ok {
		s.endedAbnormally(StageIdle)
		return
	}
	s.recordIdleEnd(i)
}

// pingAfterIdle sends a ping after the silence. Without a ping, nothing shows that a firewall or NAT has dropped the connection.
func (s *session) pingAfterIdle(i *Idle) {
	if s.t.ctx.Err() != nil || s.t.r.Ping == 0 || i.Pings > 0 { // no ping would be conclusive
		result := s.idleResult(i)
		if s.t.ctx.Err() == nil && s.t.r.Ping == 0 {
			result = "no close was observed; the server does not answer pings, so whether the path still works is unknown"
		}
		s.t.end(s.step, result)
		return
	}
	s.t.deadline = time.Now().Add(2 * s.t.o.StepTimeout) // idle restores the deadline
	s.send(frame.Ping, []byte(pingPayload))
	for deadline := s.t.step(); !s.over; {
		f, err := s.next(deadline)
		switch {
		case f != nil && f.Opcode == frame.Pong && string(f.payload) == pingPayload:
			s.t.end(s.step, s.idleResult(i)+", and a ping at the end was answered")
			return
		case err != nil && isTimeout(err) && !s.over:
			if s.t.stopped(StageIdle) {
				s.over = true
				s.t.end(s.step, "stopped")
				return
			}
			i.Cut, i.How = true, "silence"
			detail := "after " + i.Held.String() + " of silence a ping was not answered, although an earlier one was: something on the path has dropped the " +
				"connection, or the server has stopped responding. When that happened is unknown"
			s.over, s.step.OK = true, false
			s.t.r.Close = &Close{By: "client", Code: 1006, How: "timeout"}
			s.t.warn(StageIdle, FaultIdle, "", detail)
			s.t.end(s.step, detail)
			return
		}
	}
	if _, ok := errors.AsType[*broken](s.why); ok {
		s.endedAbnormally(StageIdle)
		return
	}
	s.recordIdleEnd(i)
}

// idleResult returns the result of the idle probe if the connection is still open.
func (s *session) idleResult(i *Idle) string {
	switch {
	case s.t.ctx.Err() != nil:
		return "stopped after " + i.Held.String() + "; until then the connection stayed open"
	case i.Pings > 0:
		return "the connection stayed open; the server sent " + count(i.Pings, "ping", "pings") + ", so the connection was not idle"
	}
	return "the connection stayed open"
}

// recordIdleEnd records how, and after how long, the silent connection was ended.
func (s *session) recordIdleEnd(i *Idle) {
	i.Cut = true
	detail := "after " + i.Held.String() + " of silence the connection was closed"
	if c := s.t.r.Close; c != nil && s.why == nil {
		i.How, i.Code = "close frame", c.Code
		detail += fmt.Sprintf(" by the server, with a close frame and code %d", c.Code)
	} else {
		i.How = streamEnd(s.why)
		detail += " with a " + i.How + " and no close frame, as a proxy does"
		s.t.r.Close = &Close{By: "server", Code: 1006, How: i.How}
	}
	i.Suggest = Duration(pingInterval(time.Duration(i.Held)))
	s.step.OK = false
	s.t.warn(StageIdle, FaultIdle, "", detail+"; a ping every "+i.Suggest.String()+" keeps the connection open")
	s.t.end(s.step, detail)
}

// pingInterval returns a ping interval for an idle timeout: a round number of at most three quarters, so that a ping may be late.
func pingInterval(held time.Duration) time.Duration {
	limit := held * 3 / 4
	for _, seconds := range [...]int{300, 240, 180, 120, 90, 60, 50, 45, 40, 30, 25, 20, 15, 10, 5, 4, 3, 2, 1} {
		if d := time.Duration(seconds) * time.Second; d <= limit {
			return d
		}
	}
	return max(limit.Round(10*time.Millisecond), 10*time.Millisecond)
}
