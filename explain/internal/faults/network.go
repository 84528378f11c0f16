package faults

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// nameNotFound is a name that the name server says does not exist.
func nameNotFound(l *lab) (*Site, error) {
	r, err := l.resolver(zone{rcode: rcodeNotFound})
	return &Site{URL: "ws://nothing.test/", Resolver: r, lab: l}, err
}

// nameServerFails is a name server that says that it cannot answer.
func nameServerFails(l *lab) (*Site, error) {
	r, err := l.resolver(zone{rcode: rcodeServer})
	return &Site{URL: "ws://broken.test/", Resolver: r, lab: l}, err
}

// refused is a port that nobody listens on.
func refused(l *lab) (*Site, error) {
	ln, err := l.listen()
	if err != nil {
		return nil, err
	}
	l.drop(ln)
	return &Site{URL: "ws://" + ln.Addr().String() + "/", lab: l}, nil
}

// unanswered is a port whose packets nobody answers: the queue of its listener is full, so the kernel drops what comes.
func unanswered(l *lab) (*Site, error) {
	ln, err := l.listen()
	if err != nil {
		return nil, err
	}
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = shrink(fd) }); err != nil || failed != nil {
		return nil, errors.Join(err, failed)
	}
	// How many connections the kernel still takes is its own affair: one or two.
	for range 64 {
		c, err := net.DialTimeout("tcp4", ln.Addr().String(), 100*time.Millisecond)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return &Site{URL: "ws://" + ln.Addr().String() + "/", lab: l}, nil
		} else if err != nil {
			return nil, err
		}
		l.keep(c)
	}
	return nil, errors.New("faults: the queue of a listener does not fill up")
}

// silent takes connections, reads and says nothing.
func silent(l *lab) (*Site, error) {
	addr, err := l.serve(func(c net.Conn) { io.Copy(io.Discard, c) }) //nolint:errcheck // the end is what this waits for
	return &Site{URL: "ws://" + addr + "/", lab: l}, err
}

// halfBroken is a name with an IPv6 and an IPv4 address of which only the second has a server.
func halfBroken(l *lab) (*Site, error) {
	addr, err := l.healthyOn()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	r, err := l.resolver(zone{name: "half.test", addrs: []netip.Addr{netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")}})
	return &Site{URL: "ws://half.test:" + port + "/", Resolver: r, lab: l}, err
}

// plainForTLS is a port for plain HTTP, spoken to with TLS.
func plainForTLS(l *lab) (*Site, error) {
	addr, err := l.serve(func(c net.Conn) {
		buf := make([]byte, 512)
		if _, err := c.Read(buf); err != nil { // a ClientHello; net/http and nginx see no request in it either
			return
		}
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") //nolint:errcheck // the client may have gone
		linger(c, c)
	})
	return &Site{URL: "wss://" + addr + "/", lab: l}, err
}

// tlsForPlain is a port for TLS that answers plain HTTP as net/http and nginx do: in plain HTTP, with a hint in the body.
func tlsForPlain(l *lab) (*Site, error) {
	return l.site(func(v *visit) {
		v.say("HTTP/1.0 400 Bad Request\n\nClient sent an HTTP request to an HTTPS server.\n")
	})
}

// nginxTLSForPlain is the same mistake as nginx tells it.
func nginxTLSForPlain(l *lab) (*Site, error) {
	return l.site(func(v *visit) {
		v.answer("400 Bad Request", "Server: nginx/1.22.1\nContent-Type: text/html\n",
			"<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n<body>\r\n"+
				"<center><h1>400 Bad Request</h1></center>\r\n"+
				"<center>The plain HTTP request was sent to HTTPS port</center>\r\n"+
				"<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n")
	})
}

// alertForPlain is a port for TLS that answers plain HTTP with a TLS alert, as most servers do.
func alertForPlain(l *lab) (*Site, error) {
	root := newRoot("root")
	config := &tls.Config{Certificates: []tls.Certificate{root.issue(leaf{})}, MinVersion: tls.VersionTLS12}
	addr, err := l.serve(func(c net.Conn) {
		if tls.Server(c, config).Handshake() != nil {
			linger(c, c)
		}
	})
	return &Site{URL: "ws://" + addr + "/", lab: l}, err
}

// reset ends the connection with a reset as soon as the request is there.
func reset(l *lab) (*Site, error) {
	return l.site(func(v *visit) {
		v.Conn.(*net.TCPConn).SetLinger(0) //nolint:errcheck // a close without a reset would fail the test
		v.Close()
	})
}

// closedEarly reads the request and closes without a word.
func closedEarly(l *lab) (*Site, error) { return l.site(func(*visit) {}) }

// banner is another service: it speaks first, and not HTTP.
func banner(text string) func(*lab) (*Site, error) {
	return func(l *lab) (*Site, error) {
		addr, err := l.serve(func(c net.Conn) {
			io.WriteString(c, text) //nolint:errcheck // the client may have gone
			io.Copy(io.Discard, c)  //nolint:errcheck // the end is what this waits for
		})
		return &Site{URL: "ws://" + addr + "/", lab: l}, err
	}
}
