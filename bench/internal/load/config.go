//go:build linux

package load

import (
	"errors"
	"fmt"
	"time"
)

// The modes.
const (
	ModeUpgrade   = "upgrade"   // open a connection, perform the handshake, reset the connection, repeatedly
	ModeEcho      = "echo"      // send Flight messages and wait for their echoes, repeatedly, on all connections
	ModeBroadcast = "broadcast" // one message makes the server send Flight messages to all connections
	ModeStill     = "still"     // one echo on each connection, and then nothing: one second counts as an operation
	ModeIdle      = "idle"      // Messages echoes on each connection, then hold the connections until ready returns
)

// The compression of a connection.
const (
	CompressNone     = ""         // no compression
	CompressEach     = "each"     // every message separately: no context takeover, in both directions
	CompressTakeover = "takeover" // with context takeover, windows of 12 bits or more, in both directions
)

// Config configures a load.
type Config struct {
	Addr      string        // host:port, on the loopback interface
	Mode      string        // one of the modes
	Conns     int           // number of concurrent connections
	Size      int           // payload bytes of a message
	Fragments int           // number of frames of Size bytes per message; 0 means 1
	Flight    int           // number of messages sent together; 0 means 1
	Busy      int           // ModeEcho: the number of connections with a message in flight, while the others wait for their turn; 0 means all
	Rate      int           // ModeEcho: messages per second, each on the next free connection; 0 means without a limit
	Messages  int           // ModeIdle: the number of messages of each connection, one after another, before it is held; 0 means 1
	Compress  string        // one of the compressions
	Raw       bool          // the server is not a WebSocket server: it echoes bytes, without a handshake
	TLS       bool          // whether to use TLS; the certificate is not verified
	NoOrigin  bool          // the handshake has no Origin: a server behind a balancer does not know that the page uses TLS
	Warm      time.Duration // duration of the warm-up
	For       time.Duration // duration of the measurement
	PID       int           // the process of the server, whose CPU time is measured; 0 means it is not measured
}

// Result is the result of a measurement.
type Result struct {
	Ops     int64         // number of handshakes, echoes or deliveries in the measured time
	Took    time.Duration // the measured time
	CPU     time.Duration // CPU time of the server's process
	P50     time.Duration // median of the time from sending a batch to receiving the batch's last response
	P99     time.Duration
	Answer  float64 // mean payload bytes of a response on the wire
	LoadCPU time.Duration
}

// CPUPerOp returns the server's CPU time per operation.
func (r Result) CPUPerOp() time.Duration {
	if r.Ops == 0 {
		return 0
	}
	return time.Duration(float64(r.CPU) / float64(r.Ops))
}

// ErrNotSupported is the error for a server that refuses a feature that the load needs, such as compression.
var ErrNotSupported = errors.New("load: the server does not support this")

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
		return errors.New("load: compressed messages must be sent one at a time, in one piece")
	}
	return nil
}

// Run runs the load c, and returns when it is complete or has failed because of a wrong response or a closed connection. In
// ModeIdle it calls ready when all connections have received their echoes, and returns after ready.
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
