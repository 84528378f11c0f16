package explain

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/handfast/handfast/websocket/frame"
	"github.com/handfast/handfast/websocket/wstest"
)

// exchange is a connection of an in-memory server that has read the request.
type exchange struct {
	net.Conn
	in  *bufio.Reader
	req *http.Request
}

// writeText writes text with line ends converted to CR LF.
func (v *exchange) writeText(text string) {
	io.WriteString(v.Conn, strings.ReplaceAll(text, "\n", "\r\n"))
}

// open sends a 101. fields contains additional header lines, each with "\n" at the end.
func (v *exchange) open(fields string) {
	v.writeText("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: " +
		newKeyReport(v.req.Header.Get("Sec-WebSocket-Key")).Want + "\n" + fields + "\n")
}

// send sends an unfragmented frame.
func (v *exchange) send(op frame.Opcode, payload string) {
	v.Write(append(frame.Append(nil, frame.Header{Fin: true, Opcode: op, Length: int64(len(payload))}), payload...))
}

// next reads a frame of the client, and returns the unmasked payload.
func (v *exchange) next() (op frame.Opcode, payload string, err error) {
	head, err := v.in.Peek(2)
	if err == nil {
		head, err = v.in.Peek(frame.Size(head[1]))
	}
	if err != nil {
		return 0, "", err
	}
	h, n, err := frame.Parse(head)
	if err != nil {
		return 0, "", err
	}
	v.in.Discard(n)
	b := make([]byte, h.Length)
	if _, err := io.ReadFull(v.in, b); err != nil {
		return 0, "", err
	}
	if !h.Masked {
		return 0, "", fmt.Errorf("a frame of the client is not masked")
	}
	frame.Mask(b, h.Key)
	return h.Opcode, string(b), nil
}

// respond answers pings, echoes messages, and returns after answering a close frame or at the end of the connection.
func (v *exchange) respond() {
	for {
		op, payload, err := v.next()
		if err != nil {
			return
		}
		switch op {
		case frame.Ping:
			v.send(frame.Pong, payload)
		case frame.Close:
			v.send(frame.Close, payload)
			return
		case frame.Pong:
		default:
			v.send(op, payload)
		}
	}
}

// inMemory returns options that connect to a server in memory. It calls serve for each connection in a new goroutine, and closes the
// connection when serve returns. The test waits for all goroutines at its end.
func inMemory(t testing.TB, serve func(v *exchange)) *Options {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return &Options{
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		rand:  &counter{},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := wstest.NetPipe(0)
			wg.Go(func() {
				defer server.Close()
				v := &exchange{Conn: server, in: bufio.NewReader(server)}
				var err error
				if v.req, err = http.ReadRequest(v.in); err == nil {
					serve(v)
				}
			})
			return client, nil
		},
	}
}

// counter is a deterministic source of bytes in place of a random source.
type counter struct{ n byte }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		c.n++
		b[i] = c.n
	}
	return len(b), nil
}
