//go:build linux

package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Clients are WebSocket clients driven by one goroutine. They use as little of the machine as possible, because they share it with
// the server. Their messages are text. Clients must not be copied, and are not safe for concurrent use.
type Clients struct {
	server  *syscall.SockaddrInet4
	request []byte
	epoll   int
	all     []client
	events  [256]syscall.EpollEvent
	buf     [256 << 10]byte
}

// client is one of Clients.
type client struct {
	fd   int
	open bool   // the handshake is complete
	rest []byte // the beginning of a frame, or of the handshake's response
	out  []byte // frames that are written with one call
}

const opText = 1

var errEnded = errors.New("load: the server ended the connection")

// NewClients returns n unconnected clients of a server. The caller closes them.
func NewClients(n int, addr, path, subprotocol string) (*Clients, error) {
	a, err := loopback(addr)
	if err != nil {
		return nil, err
	}
	c := &Clients{server: a, request: handshake("http", addr, path, "Sec-WebSocket-Protocol", subprotocol), all: make([]client, n)}
	for i := range c.all {
		c.all[i].fd = -1
	}
	if c.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	return c, nil
}

// Close cuts all connections.
func (c *Clients) Close() {
	c.Cut()
	syscall.Close(c.epoll)
}

// Cut resets all connections. Clients can be opened again. A connection that is closed normally holds its port for a minute, and
// with thousands of such ports the search for a free one takes longer than the rest of connecting.
func (c *Clients) Cut() {
	for i := range c.all {
		if m := &c.all[i]; m.fd >= 0 {
			syscall.SetsockoptLinger(m.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}) //nolint:errcheck // if this fails, the port remains in TIME_WAIT
			syscall.Close(m.fd)
			*m = client{fd: -1, rest: m.rest[:0], out: m.out[:0]}
		}
	}
}

// Open connects client i, and sends its opening handshake.
func (c *Clients) Open(i int) error {
	fd, err := connectTo(c.server)
	if err != nil {
		return err
	}
	m := &c.all[i]
	m.fd = fd
	if _, err := writeSocket(fd, c.request); err != nil {
		return fmt.Errorf("load: handshake: %w", err)
	}
	return syscall.EpollCtl(c.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)})
}

// Send sends a text message from client i. The messages of one round are written together.
func (c *Clients) Send(i int, text []byte) {
	m := &c.all[i]
	m.out = appendFrame(m.out, fin|opText, text)
}

// Round waits until data was received, for at most wait. It calls opened for each client whose handshake is complete, and received for each
// message, which is valid until received returns. opened and received may call Send. Round reports whether any data was received.
func (c *Clients) Round(wait time.Duration, opened func(i int), received func(i int, message []byte) error) (bool, error) {
	n, err := syscall.EpollWait(c.epoll, c.events[:], int(wait.Milliseconds()))
	if err == syscall.EINTR {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, ev := range c.events[:n] {
		if err := c.read(int(ev.Fd), opened, received); err != nil {
			return true, fmt.Errorf("client %d: %w", ev.Fd, err)
		}
	}
	return n > 0, nil
}

// read handles the data that a client has received, and then writes all messages that opened and received have sent.
func (c *Clients) read(i int, opened func(i int), received func(i int, message []byte) error) error {
	m := &c.all[i]
	kept := copy(c.buf[:], m.rest)
	n, err := readSocket(m.fd, c.buf[kept:])
	if err != nil {
		return errors.Join(errEnded, err)
	}
	b := c.buf[:kept+n]
	if !m.open {
		end, err := answered(&Config{}, b)
		if err != nil {
			return err
		}
		if end > 0 {
			m.open, b = true, b[end:]
			opened(i)
		}
	}
	for m.open {
		first, payload, rest, ok := cutFrame(b)
		if !ok {
			break
		}
		b = rest
		switch first {
		case fin | opClose:
			return errEnded
		case fin | opPing: // no pong is sent: the clients are not connected long enough for the server to time out
		default:
			if first != fin|opText {
				return fmt.Errorf("load: a frame that begins with %#x", first)
			}
			if err := received(i, payload); err != nil {
				return err
			}
		}
	}
	if len(b) == len(c.buf) {
		return errors.New("load: a message that is too long")
	}
	m.rest = append(m.rest[:0], b...)
	if len(m.out) > 0 {
		_, err = writeSocket(m.fd, m.out)
		m.out = m.out[:0]
	}
	return err
}

// cutFrame returns the first byte and the payload of the frame at the beginning of b, and the rest of b, if the frame is complete.
func cutFrame(b []byte) (first byte, payload, rest []byte, ok bool) {
	if len(b) < 2 {
		return 0, nil, b, false
	}
	head, size := 2, uint64(b[1])
	switch {
	case size == 126 && len(b) >= 4:
		head, size = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case size == 127 && len(b) >= 10:
		head, size = 10, binary.BigEndian.Uint64(b[2:])
	case size >= 126:
		return 0, nil, b, false
	}
	if uint64(len(b)-head) < size {
		return 0, nil, b, false
	}
	end := head + int(size) // size is at most len(b)-head
	return b[0], b[head:end], b[end:], true
}
