package faults

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// serverTimeout limits every wait of a server in this package.
const serverTimeout = 20 * time.Second

// lab holds the listeners, connections and goroutines of one fault, so that closing it leaves nothing behind.
type lab struct {
	ctx    context.Context // ends with the lab
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]struct{}
	wg     sync.WaitGroup
}

func newLab() *lab {
	ctx, cancel := context.WithCancel(context.Background())
	return &lab{ctx: ctx, cancel: cancel, open: map[io.Closer]struct{}{}}
}

// keep registers c to be closed with the lab, or closes it immediately if the lab is already closed.
func (l *lab) keep(c io.Closer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return
	}
	l.open[c] = struct{}{}
}

// drop closes c before the lab is closed.
func (l *lab) drop(c io.Closer) {
	c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// close ends every listener and connection of the lab and waits for its goroutines.
func (l *lab) close() {
	l.mu.Lock()
	l.closed = true
	l.cancel()
	for c := range l.open {
		c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// listen opens a port of the loopback interface.
func (l *lab) listen() (net.Listener, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.keep(ln)
	return ln, nil
}

// serve opens a port, calls handle for every accepted connection, and closes the connection when handle returns. It returns the port's
// address.
func (l *lab) serve(handle func(net.Conn)) (string, error) {
	ln, err := l.listen()
	if err != nil {
		return "", err
	}
	l.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			l.keep(c)
			c.SetDeadline(time.Now().Add(serverTimeout))
			l.wg.Go(func() {
				defer l.drop(c)
				handle(c)
			})
		}
	})
	return ln.Addr().String(), nil
}

// exchange is one request that a server of this package has read.
type exchange struct {
	net.Conn
	in  *bufio.Reader
	req *http.Request
}

// requests returns a connection handler that reads one request and calls handle for the response. Then it ends its sending half and reads
// until the client has closed, too, because a reset could destroy the response.
func requests(handle func(*exchange)) func(net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		handle(&exchange{Conn: c, in: in, req: req})
		linger(c, in)
	}
}

// linger ends the sending half of c and reads from in until the peer has ended its own.
func linger(c net.Conn, in io.Reader) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		h.CloseWrite() //nolint:errcheck // CloseWrite fails only if the peer has already disconnected
	}
	io.Copy(io.Discard, in) //nolint:errcheck // Copy returns when the peer has disconnected
}

// writeText writes text with every line end converted to CR LF.
func (v *exchange) writeText(text string) {
	io.WriteString(v, strings.ReplaceAll(text, "\n", "\r\n")) //nolint:errcheck // the write fails only if the client has disconnected
}

// answer writes a complete response with a body; the lines of fields end in "\n".
func (v *exchange) answer(status, fields, body string) {
	v.writeText("HTTP/1.1 " + status + "\n" + fields + fmt.Sprintf("Content-Length: %d\nConnection: close\n\n", len(body)))
	io.WriteString(v, body) //nolint:errcheck // the write fails only if the client has disconnected
}

// accept returns the accept value, which proves that the server speaks WebSocket (RFC 6455 §4.2.2, step 5.4).
func (v *exchange) accept() string {
	sum := sha1.Sum([]byte(v.req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// upgrade writes a correct 101 with additional fields, whose lines end in "\n".
func (v *exchange) upgrade(fields string) {
	v.writeText("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n" +
		"Sec-WebSocket-Accept: " + v.accept() + "\n" + fields + "\n")
}

// site serves handle at a ws URL. It rejects pages of other sites, because accepting them would be another fault.
func (l *lab) site(handle func(*exchange)) (*Site, error) {
	addr, err := l.serve(requests(sameOrigin(handle)))
	return &Site{URL: "ws://" + addr + "/"}, err
}

// sameOrigin responds with 403 to requests from a page of another host.
func sameOrigin(handle func(*exchange)) func(*exchange) {
	return func(v *exchange) {
		if o := v.req.Header.Get("Origin"); o != "" && o != "http://"+v.req.Host && o != "https://"+v.req.Host {
			v.answer("403 Forbidden", "", "")
			return
		}
		handle(v)
	}
}
