package cli

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The times of the wait after the end of the input.
const (
	// quiet is how long to wait for the pong or for the rest of a message while nothing is received.
	quiet = 5 * time.Second

	// calm is the minimum time without activity after the pong until the server is considered finished.
	calm = 300 * time.Millisecond

	// endless is how long a server may continue to send after its pong.
	endless = 30 * time.Second
)

// errCutShort ends a connection whose server has sent a part of a message and then no more bytes.
var errCutShort = errors.New("the server stopped in the middle of a message")

// errStillSending ends a connection whose server does not stop sending.
var errStillSending = fmt.Errorf("the server was still sending %v after the end of the input", endless)

// answering measures how fast a server replies.
type answering struct {
	trip time.Duration // the round-trip time of the ping
	gap  time.Duration // the longest time between two arrivals so far
	last time.Time     // the last arrival; zero means none yet
}

func (p *answering) arrival() {
	now := time.Now()
	if !p.last.IsZero() {
		p.gap = max(p.gap, now.Sub(p.last))
	}
	p.last = now
}

// patience returns how long to wait for further replies: four times as long as the server has needed so far.
func (p *answering) patience() time.Duration { return min(max(calm, 4*p.trip, 4*p.gap), quiet) }

// settle waits for the replies to the sent messages: the library discards data that arrives after the close frame was sent, so they
// must be received before. A server that replies in order answers a ping last; but many answer pings earlier (RFC 6455 §5.5.2: "as
// soon as is practical"), and the pong may arrive in the middle of a message (§5.4). So settle reads on after the pong until the
// server is quiet and no message is incomplete. If the server sends neither a pong nor any other frame, settle stops waiting, and
// returns an error if a message is incomplete. It also returns an error if the server does not become quiet.
func (s *session) settle(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	pong := make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(pong)
		_, _ = s.conn.Ping(ctx) // the reader gets the same error
	}()
	defer func() {
		cancel()
		<-pong
	}()
	var (
		p        answering
		patience = quiet
		answered = pong // nil after the pong
		end      <-chan time.Time
	)
	idle := time.NewTimer(patience / 2)
	defer idle.Stop()
	// Two silent halves are required, because the reader may not have run while the process waited for a processor, or the machine
	// was suspended.
	for silent := false; ; {
		select {
		case <-answered:
			answered, p.trip = nil, time.Since(begin)
			timer := time.NewTimer(endless)
			defer timer.Stop()
			end = timer.C
			silent = false
		case <-end:
			return &hinted{errStillSending, "--wait DURATION reads for that long, and then exits 0"}
		case <-s.over:
			return nil
		case <-s.signals:
			return nil
		case <-s.moved:
			p.arrival()
			silent = false
		case <-idle.C:
			if silent && !s.busy.Load() { // otherwise the reader of the output is slow
				if s.inside.Load() {
					return &hinted{fmt.Errorf("%w, and has sent nothing for %v", errCutShort, quiet),
						"use --wait for a server that answers this slowly"}
				}
				return nil
			}
			silent = true
		}
		patience = quiet
		if answered == nil && !s.inside.Load() {
			patience = p.patience()
		}
		idle.Reset(patience / 2)
	}
}
