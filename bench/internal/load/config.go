//go:build linux

package load

import (
	"errors"
	"fmt"
	"time"
)

// The modes.
const (
	ModeUpgrade   = "upgrade"   // open a connection, shake hands, break off; over and over
	ModeEcho      = "echo"      // send Flight messages, wait for their echoes; over and over, on all connections
	ModeBroadcast = "broadcast" // one message makes the server send Flight messages to all connections
	ModeStill     = "still"     // one echo on each connection, and then nothing: an operation is a second
	ModeIdle      = "idle"      // Messages echoes on each connection, then hold them until told otherwise
)

// What a compressed connection agrees on.
const (
	CompressNone     = ""         // no compression
	CompressEach     = "each"     // every message by itself: no context takeover, in both directions
	CompressTakeover = "takeover" // with context takeover, windows of 12 bits or more, in both directions
)

// Config says what to do to which server.
type Config struct {
	Addr      string        // host:port, on the loopback interface
	Mode      string        // one of the modes
	Conns     int           // connections open at once
	Size      int           // payload bytes of a message
	Fragments int           // frames of Size bytes that a message is sent in; 0 means 1
	Flight    int           // messages that go out together; 0 means 1
	Busy      int           // ModeEcho: how many connections have a message in flight, the others wait for their turn; 0 means all
	Rate      int           // ModeEcho: messages a second, each on the next connection that is free; 0 means as fast as they are answered
	Messages  int           // ModeIdle: how many each connection sends, one after the other, before it is held; 0 means 1
	Compress  string        // one of the compressions
	Raw       bool          // the server is not a WebSocket server: it sends back what it gets, without a handshake
	TLS       bool          // over TLS; the certificate is not looked at
	NoOrigin  bool          // the handshake is not of a browser: a server behind a balancer does not see that the page has TLS
	Warm      time.Duration // what goes before the measuring
	For       time.Duration // how long to measure
	PID       int           // the server's process, whose CPU time is measured; 0 means it is not
}

// Result is what was measured.
type Result struct {
	Ops     int64         // handshakes, echoes or deliveries within the time measured
	Took    time.Duration // how long that was
	CPU     time.Duration // of the server's process
	P50     time.Duration // from the sending of a batch to its last answer
	P99     time.Duration
	Answer  float64 // mean payload bytes of an answer on the wire
	LoadCPU time.Duration
}

// CPUPerOp returns the server's CPU time for one operation.
func (r Result) CPUPerOp() time.Duration {
	if r.Ops == 0 {
		return 0
	}
	return time.Duration(float64(r.CPU) / float64(r.Ops))
}

// ErrNotSupported is the error for a server that turned down what the load needs, such as compression.
var ErrNotSupported = errors.New("load: the server does not do this")

func (c *Config) check() error {
	c.Fragments, c.Flight, c.Conns, c.Messages = max(c.Fragments, 1), max(c.Flight, 1), max(c.Conns, 1), max(c.Messages, 1)
	switch {
	case c.Mode == ModeBroadcast && c.Flight > 255:
		return errors.New("load: at most 255 messages at a time")
	case c.Mode == ModeBroadcast && c.Size < triggerBytes:
		return fmt.Errorf("load: a broadcast message has at least %d bytes", triggerBytes)
	case c.Raw && (c.Mode != ModeEcho && c.Mode != ModeIdle && c.Mode != ModeStill || c.Compress != CompressNone):
		return fmt.Errorf("%w: a raw server only echoes", ErrNotSupported)
	case c.Compress != CompressNone && (c.Fragments > 1 || c.Flight > 1 || c.Mode == ModeBroadcast):
		return errors.New("load: compressed messages go one at a time, in one piece")
	}
	return nil
}

// Run does what c says, and returns when it is done or something went wrong: an answer that is not the right one, a
// connection that ended. In ModeIdle it calls ready when all connections have had their echoes, and ends when that
// returns.
func Run(c Config, ready func()) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	s, err := newScript(&c)
	if err != nil {
		return Result{}, err
	}
	switch {
	case c.Mode == ModeUpgrade && c.TLS:
		return upgradeTLS(&c)
	case c.Mode == ModeUpgrade:
		return upgrade(&c)
	case c.Mode == ModeIdle:
		return idle(&c, s, ready)
	case c.Mode == ModeStill && !c.TLS:
		return still(&c, s)
	case c.Mode == ModeEcho && c.TLS:
		return echoTLS(&c, s)
	case c.TLS:
		return Result{}, fmt.Errorf("load: no mode %q over TLS", c.Mode)
	case c.Mode == ModeEcho || c.Mode == ModeBroadcast:
		return loop(&c, s)
	}
	return Result{}, fmt.Errorf("load: no mode %q", c.Mode)
}
