package behave

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// timeout is the time limit for a handshake.
const timeout = 10 * time.Second

// The key of every handshake and the corresponding Sec-WebSocket-Accept are the example in RFC 6455 §1.3.
const handshakeKey = "dGhlIHNhbXBsZSBub25jZQ=="

var acceptKey = func() string {
	sum := sha1.Sum([]byte(handshakeKey + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// conn is one WebSocket of a client.
type conn struct {
	net.Conn
	in         *bufio.Reader
	server     string
	generation string
	pings      int                  // number received
	message    func(payload []byte) // called with the messages of the server; may be nil
}

// refused is the reason for a failed handshake, in a few words. The same reason always has the same text.
type refused string

func (r refused) Error() string { return string(r) }

// dial opens a WebSocket, with a subprotocol unless it is "". The error is of type refused.
func dial(ctx context.Context, addr, subprotocol string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, refusedBy(err)
	}
	c := &conn{Conn: nc, in: bufio.NewReader(nc)}
	deadline, _ := ctx.Deadline()
	c.SetDeadline(deadline)
	if err := c.handshake(addr, subprotocol); err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

func (c *conn) handshake(addr, subprotocol string) error {
	path, more := "/echo", ""
	if subprotocol != "" {
		path, more = "/channels", "Sec-WebSocket-Protocol: "+subprotocol+"\r\n"
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n", path, addr, handshakeKey, more); err != nil {
		return refusedBy(err)
	}
	resp, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodGet})
	if err != nil {
		return refusedBy(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return refused(fmt.Sprint(resp.StatusCode))
	}
	if resp.Header.Get("Sec-Websocket-Accept") != acceptKey {
		return refused("101 with the wrong key")
	}
	c.server, c.generation = resp.Header.Get(ServerField), resp.Header.Get(GenerationField)
	return nil
}

func refusedBy(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused("connection refused")
	case errors.As(err, &timeout) && timeout.Timeout():
		return refused("no answer")
	default:
		return refused("cut")
	}
}

// The opcodes of RFC 6455 §5.2, with FIN.
const (
	textFrame  = 0x81
	closeFrame = 0x88
	pingFrame  = 0x89
	pongFrame  = 0x8a
)

// send sends a frame with up to 125 bytes of payload. The mask is zero, so that the payload is unchanged.
func (c *conn) send(first byte, payload []byte) error {
	c.SetWriteDeadline(time.Now().Add(timeout))
	_, err := c.Write(append([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...))
	return err
}

// next returns the opcode, with FIN, and the payload of the next frame.
func (c *conn) next() (first byte, payload []byte, err error) {
	var head [8]byte
	if _, err = io.ReadFull(c.in, head[:2]); err != nil {
		return 0, nil, err
	}
	first = head[0]
	n := int(head[1] & 0x7f)
	switch n {
	case 126:
		_, err = io.ReadFull(c.in, head[:2])
		n = int(binary.BigEndian.Uint16(head[:2]))
	case 127:
		return 0, nil, errors.New("a frame that no server here sends")
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.in, payload)
	return first, payload, err
}

// read reads until the connection ends, and returns how it ended: "closed with 1012", or "cut". It responds to pings.
func (c *conn) read() string {
	for {
		first, payload, err := c.next()
		if err != nil {
			return "cut"
		}
		switch first {
		case textFrame:
			if c.message != nil {
				c.message(payload)
			}
		case closeFrame:
			_ = c.send(closeFrame, payload) // the server may have closed the connection
			if len(payload) < 2 {
				return "closed without a code"
			}
			return fmt.Sprintf("closed with %d", binary.BigEndian.Uint16(payload))
		case pingFrame:
			c.pings++
			_ = c.send(pongFrame, payload) // if this fails, the next read fails, too
		}
	}
}
