package wstest

import (
	"net"
	"testing"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// Options are the options of a connection in memory. nil and the zero value mean the defaults.
type Options struct {
	// Client and Server are the options of the two Conns.
	Client, Server websocket.ConnOptions

	// Buffer is the size in bytes of the buffer in each direction. 0 means 64 KiB, about the size of a socket buffer. With 1 every
	// write waits until its bytes are read.
	Buffer int
}

const defaultBuffer = 64 << 10

// Pipe returns a client and a server, connected in memory. Their opening handshake counts as complete, without negotiated
// parameters: Handshake returns an empty value, and messages are not compressed.
//
// A write of a message that fits into the buffer does not wait for a reader on the other side. A write of a longer message waits, as on a
// network. CloseNow is called on the Conns when the test of tb ends. If tb is nil, as in an example, the caller must close them.
func Pipe(tb testing.TB, opts *Options) (client, server *websocket.Conn) {
	if opts == nil {
		opts = &Options{}
	}
	near, far := NetPipe(opts.Buffer)
	client = conn(near, protocol.RoleClient, &opts.Client)
	server = conn(far, protocol.RoleServer, &opts.Server)
	if tb != nil {
		tb.Cleanup(func() {
			client.CloseNow()
			server.CloseNow()
		})
	}
	return client, server
}

// conn calls websocket.NewConn without extensions and without a subprotocol.
func conn(nc net.Conn, role protocol.Role, opts *websocket.ConnOptions) *websocket.Conn {
	c, err := websocket.NewConn(nc, role, nil, opts)
	if err != nil {
		panic(err) // only negotiated parameters can be invalid
	}
	return c
}

// NetPipe returns the two ends of a byte stream in memory, for [websocket.NewConn], [NewPeer], or a test's own net.Conn that wraps
// one of them. The buffer of each direction holds buffer bytes; 0 means 64 KiB.
//
// The ends behave like TCP: deadlines (os.ErrDeadlineExceeded), CloseWrite via a type assertion, io.EOF after the last written byte,
// and syscall.EPIPE for a write to a closed end. Close does not lose data that was written before it. Each end may be used by any
// number of goroutines concurrently.
func NetPipe(buffer int) (client, server net.Conn) {
	if buffer <= 0 {
		buffer = defaultBuffer
	}
	up, down := newHalf(buffer), newHalf(buffer)
	return &stream{in: down, out: up, local: "client", remote: "server"}, &stream{in: up, out: down, local: "server", remote: "client"}
}
