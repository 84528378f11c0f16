package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/handfast/handfast/websocket/loop"
)

// pumpTunnel is a Tunnel with one goroutine for each side that is read from, and a few short-lived goroutines at its end.
//
// Lock order: writing of one end, then mu.
type pumpTunnel struct {
	tunnel  Tunnel
	ends    [2]pumpEnd
	began   time.Time
	running int         // number of goroutines
	timer   *time.Timer // nil if there is none
	timerAt time.Duration
	cut     bool // the connections are closed
}

// pumpEnd is the connection to one side.
type pumpEnd struct {
	nc      net.Conn
	writing sync.Mutex // held from the decision about the data until it has been written, so that no other data is written first
	busy    bool       // bytes are being written; guarded by mu
}

// run starts the goroutines. The caller holds mu.
func (p *pumpTunnel) run(early, late []byte) {
	p.began = time.Now()
	p.tunnel.start(0)
	p.running = 2
	go p.pump(client, early)
	go p.pump(upstream, late)
	p.enforceLimits()
}

func (p *pumpTunnel) now() time.Duration { return time.Since(p.began) }

// pump passes on the bytes of s, beginning with first, which has been read already.
func (p *pumpTunnel) pump(s side, first []byte) {
	defer p.exit()
	in := newReader(p.ends[s].nc)
	p.move(s, first)
	for p.wantsRead(s) {
		b, err := in.read()
		p.move(s, b)
		in.release()
		if err != nil {
			if conn, ok := p.ends[s].nc.(*tls.Conn); ok {
				err = loop.Truncated(conn, err)
			}
			p.tunnel.mu.Lock()
			if !p.tunnel.terminated {
				p.tunnel.streamEnded(s, err, p.now())
			}
			p.propagateEnds()
			return
		}
	}
}

// wantsRead reports whether s has to be read from.
func (p *pumpTunnel) wantsRead(s side) bool {
	p.tunnel.mu.Lock()
	defer p.tunnel.mu.Unlock()
	return !p.tunnel.terminated && !p.tunnel.isDone(s)
}

// move passes on b, which s has sent.
func (p *pumpTunnel) move(s side, b []byte) {
	if len(b) == 0 {
		return
	}
	p.write(s.other(), func() (through, put []byte) { return p.tunnel.receive(s, b, p.now()) })
}

// write writes the data that decide returns to s. decide is called with mu held.
func (p *pumpTunnel) write(s side, decide func() (through, put []byte)) {
	e := &p.ends[s]
	e.writing.Lock()
	p.tunnel.mu.Lock()
	through, put := decide()
	e.busy = len(through)+len(put) > 0
	p.tunnel.mu.Unlock()
	var err error
	for _, b := range [][]byte{through, put} {
		if len(b) > 0 && err == nil {
			_, err = e.nc.Write(b)
		}
	}
	e.writing.Unlock()
	p.tunnel.mu.Lock()
	e.busy = false
	if err == nil {
		p.tunnel.noteProgress(s, p.now())
	} else if !p.tunnel.terminated && !p.tunnel.writeEnded[s] {
		p.tunnel.writeFailed(s, err, p.now())
	}
	p.propagateEnds()
}

// wake implements driver.
func (p *pumpTunnel) wake() {
	if p.tunnel.terminated {
		p.running++
		go func() {
			defer p.exit()
			p.tunnel.mu.Lock()
			p.unlock()
		}()
		return
	}
	p.enforceLimits() // bounds how long the goroutines wait for their turn to write
	for s := range p.ends {
		p.running++
		go func() {
			defer p.exit()
			p.write(side(s), func() (_, put []byte) { return nil, p.tunnel.dueFrame(side(s), p.now()) })
		}()
	}
}

// hasQueued implements driver.
func (p *pumpTunnel) hasQueued(s side) bool { return p.ends[s].busy }

// propagateEnds passes on the ends of streams, and ends the tunnel if it is finished. The caller holds mu, and propagateEnds
// releases it.
func (p *pumpTunnel) propagateEnds() {
	for s := range p.ends {
		if p.tunnel.terminated || !p.tunnel.takeEOF(side(s)) {
			continue
		}
		e := &p.ends[s]
		p.tunnel.mu.Unlock()
		e.writing.Lock()
		err := closeWrite(e.nc)
		e.writing.Unlock()
		p.tunnel.mu.Lock()
		if errors.Is(err, errors.ErrUnsupported) && !p.tunnel.shut {
			p.tunnel.terminated = true // the connection cannot be half-closed, and everything has been written
		}
	}
	if p.tunnel.bothDone() {
		p.tunnel.terminated = true
	}
	p.enforceLimits()
	p.unlock()
}

// enforceLimits enforces the time limits, and sets the timer.
func (p *pumpTunnel) enforceLimits() {
	now := p.now()
	next := p.tunnel.checkLimits(now)
	if p.tunnel.terminated || next == 0 || p.timerAt != 0 && p.timerAt <= next {
		return
	}
	p.timerAt = next
	if p.timer == nil {
		p.timer = time.AfterFunc(next-now, p.onTimer)
	} else {
		p.timer.Reset(next - now)
	}
}

// onTimer is called by the timer.
func (p *pumpTunnel) onTimer() {
	p.tunnel.mu.Lock()
	p.timerAt = 0
	if !p.tunnel.terminated {
		p.enforceLimits()
	}
	p.unlock()
}

// unlock releases mu. If the tunnel is over, it closes the connections, which ends the goroutines.
func (p *pumpTunnel) unlock() {
	cut := p.tunnel.terminated && !p.cut
	p.cut = p.tunnel.terminated
	if cut && p.timer != nil {
		p.timer.Stop()
	}
	p.tunnel.mu.Unlock()
	if !cut {
		return
	}
	for s := range p.ends {
		nc := p.ends[s].nc
		if t, ok := nc.(*tls.Conn); ok { // Close of tls.Conn would wait for a peer that does not read
			t.NetConn().Close() //nolint:errcheck // the connection is discarded, so an error of Close does not matter
		}
		nc.Close() //nolint:errcheck // the connection is discarded, so an error of Close does not matter
	}
}

// exit ends a goroutine of p. The last one reports the end.
func (p *pumpTunnel) exit() {
	p.tunnel.mu.Lock()
	p.running--
	last := p.running == 0
	p.tunnel.terminated = p.tunnel.terminated || last
	p.unlock()
	if last {
		p.tunnel.reportEnd()
	}
}

// closeWrite ends the stream to nc. The error is an errors.ErrUnsupported if that is not possible without closing nc.
func closeWrite(nc net.Conn) error {
	if half, ok := nc.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
