package cli

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The time limits after the end of the input.
const (
	// quietTimeout is how long to wait for the pong or for the rest of a message while nothing is received.
	quietTimeout = 5 * time.Second

	// minIdle is the minimum time without activity after the pong until the server is considered finished.
	minIdle = 300 * time.Millisecond

	// maxSettle is how long a server may continue to send after its pong.
	maxSettle = 30 * time.Second
)

// errCutShort means that the server has sent a part of a message and then no more bytes.
var errCutShort = errors.New("the server stopped in the middle of a message")

// errStillSending means that the server did not stop sending after the pong.
var errStillSending = fmt.Errorf("the server was still sending %v after the end of the input", maxSettle)

// replyTiming measures how fast a server replies.
type replyTiming struct {
	roundTrip time.Duration // the round-trip time of the ping
	maxGap    time.Duration // the longest time between two arrivals so far
	last      time.Time     // the last arrival; zero means none yet
}

func (p *replyTiming) arrival() {
	now := time.Now()
	if !p.last.IsZero() {
		p.maxGap = max(p.maxGap, now.Sub(p.last))
	}
	p.last = now
}

// idleTimeout returns how long to wait for further replies: four times the longest time that the server has needed so far, within limits.
func (p *replyTiming) idleTimeout() time.Duration {
	return min(max(minIdle, 4*p.roundTrip, 4*p.maxGap), quietTimeout)
}

// settle waits for the replies to the sent messages before the close frame is sent, because the library discards data that arrives later.
// It sends a ping. A server that replies in order answers the ping last, but many servers answer pings earlier (RFC 6455 §5.5.2: "as soon
// as is practical"), and the pong may arrive in the middle of a message (§5.4). So settle waits after the pong until the server is quiet
// and no message is incomplete. If the server sends neither a pong nor any other frame, settle stops waiting, and returns an error if a
// message is incomplete. It also returns an error if the server does not become quiet.
func (s *session) settle(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	pong := make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(pong)
		_, _ = s.conn.Ping(ctx) // if the ping fails, the reader gets the same error
	}()
	defer func() {
		cancel()
		<-pong
	}()
	var (
		p        replyTiming
		timeout  = quietTimeout
		answered = pong // set to nil after the pong
		end      <-chan time.Time
	)
	idle := time.NewTimer(timeout / 2)
	defer idle.Stop()
	// The server is quiet after two idle periods of half of timeout without data. A single timeout is not sufficient: the process or the
	// machine may have been suspended, and the reader may not have run yet.
	for silent := false; ; {
		select {
		case <-answered:
			answered, p.roundTrip = nil, time.Since(begin)
			timer := time.NewTimer(maxSettle)
			defer timer.Stop()
			end = timer.C
			silent = false
		case <-end:
			return &hinted{errStillSending, "with --wait DURATION, dial reads for that long and then exits with 0"}
		case <-s.done:
			return nil
		case <-s.signals:
			return nil
		case <-s.activity:
			p.arrival()
			silent = false
		case <-idle.C:
			if silent && !s.writing.Load() { // while w is busy, the reader of the output is slow, not the server
				if s.receiving.Load() {
					return &hinted{fmt.Errorf("%w, and has sent nothing for %v", errCutShort, quietTimeout),
						"use --wait for a server that answers this slowly"}
				}
				return nil
			}
			silent = true
		}
		timeout = quietTimeout
		if answered == nil && !s.receiving.Load() {
			timeout = p.idleTimeout()
		}
		idle.Reset(timeout / 2)
	}
}
