package cli

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The waits after the end of the input.
const (
	// quiet is how long a server may send nothing before the wait for its pong, or for the rest of a message, is given up.
	quiet = 5 * time.Second

	// calm is how long a server must at least have been quiet after its pong before nothing more is expected.
	calm = 300 * time.Millisecond

	// endless is how long a server may go on sending after its pong.
	endless = 30 * time.Second
)

// errCutShort ends a connection whose server has sent a part of a message and then nothing more.
var errCutShort = errors.New("the server stopped in the middle of a message")

// errStillSending ends a connection whose server does not come to an end.
var errStillSending = fmt.Errorf("the server was still sending %v after the end of the input", endless)

// answering is how fast a server answers.
type answering struct {
	trip time.Duration // of a ping, or the time since it was sent
	gap  time.Duration // the longest between two arrivals so far
	last time.Time     // the last arrival; zero means none yet
}

func (p *answering) arrival() {
	now := time.Now()
	if !p.last.IsZero() {
		p.gap = max(p.gap, now.Sub(p.last))
	}
	p.last = now
}

// patience is how long to wait for what may still come: four times of what the server took before.
func (p *answering) patience() time.Duration { return min(max(calm, 4*p.trip, 4*p.gap), quiet) }

// settle lets the answers come to what was sent: the library discards what arrives after the close frame went out, so they must be
// here before. A server that answers in order answers a ping after all of them; but many answer pings before (RFC 6455 §5.5.2: "as
// soon as is practical"), and the pong may come in the middle of a message (§5.4). So what follows the pong is read until the server
// is quiet, and a message to its end. A server that sends neither a pong nor anything else is not waited for; with a message cut
// short, that is an error, and so is a server that does not become quiet.
func (s *session) settle(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	pong := make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(pong)
		_, _ = s.conn.Ping(ctx) // what an error would tell, the reader finds out
	}()
	defer func() {
		cancel()
		<-pong
	}()
	var (
		p        answering
		patience = quiet
		answered = pong // nil when the pong is here
		end      <-chan time.Time
	)
	idle := time.NewTimer(patience / 2)
	defer idle.Stop()
	// Two halves, because the reader had no turn while the process waited for a processor, or the machine was suspended.
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
			if silent && !s.busy.Load() { // else the reader of our output is slow
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
