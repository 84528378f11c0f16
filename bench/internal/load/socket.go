//go:build linux

package load

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
)

// connect opens a blocking socket to the server.
func connect(c *Config) (int, error) {
	a, err := loopback(c.Addr)
	if err != nil {
		return -1, err
	}
	return connectTo(a)
}

// loopback returns the address on which a server listens.
func loopback(addr string) (*syscall.SockaddrInet4, error) {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || !a.Addr().Is4() || !a.Addr().IsLoopback() {
		return nil, fmt.Errorf("load: %s is not an address on the IPv4 loopback interface", addr)
	}
	return &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, nil
}

func connectTo(a *syscall.SockaddrInet4) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("load: socket: %w", err)
	}
	err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	// If the server hangs, the load fails rather than hanging too.
	err = errors.Join(err, syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: patience}))
	if err == nil {
		err = retry(func() error {
			return syscall.Connect(fd, a)
		})
	}
	if err != nil {
		syscall.Close(fd)
		return -1, fmt.Errorf("load: connect: %w", err)
	}
	return fd, nil
}

// patience is the time limit, in seconds, for operations that take a server microseconds.
const patience = 20

// handshakeSocket performs the opening handshake on a blocking socket.
func handshakeSocket(c *Config, fd int, req []byte) error {
	if c.Raw {
		return nil
	}
	if _, err := writeSocket(fd, req); err != nil {
		return fmt.Errorf("load: handshake: %w", err)
	}
	buf := make([]byte, 0, 4<<10)
	for {
		n, err := readSocket(fd, buf[len(buf):cap(buf)])
		if err != nil {
			return fmt.Errorf("load: handshake: %w", err)
		}
		buf = buf[:len(buf)+n]
		end, err := answered(c, buf)
		if err != nil {
			return err
		}
		if end == 0 {
			continue
		}
		if end < len(buf) {
			return errors.New("load: the server spoke first")
		}
		return nil
	}
}

func retry(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}

// readSocket and writeSocket make the system calls, and repeat them if a signal interrupts them. The end of the stream is io.EOF.
func readSocket(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == nil && n == 0:
			return 0, io.EOF
		case err != nil:
			return 0, err
		}
		return n, nil
	}
}

func writeSocket(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, p)
		if err == syscall.EINTR {
			continue
		}
		return max(n, 0), err
	}
}

// openAll opens the connections one after another, so that the server never has many concurrent handshakes.
func openAll(c *Config, s *script) ([]*conn, error) {
	req := request(c)
	var all []*conn
	for i := range c.Conns {
		fd, err := connect(c)
		if err == nil {
			all = append(all, &conn{c: c, s: s, index: i, fd: fd})
			err = handshakeSocket(c, fd, req)
		}
		if err != nil {
			closeAll(all)
			return nil, err
		}
	}
	return all, nil
}

func closeAll(all []*conn) {
	for _, c := range all {
		// Reset the connections: thousands of ports in TIME_WAIT would slow down the next round.
		syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1}) //nolint:errcheck // if this fails, the port remains in TIME_WAIT
		syscall.Close(c.fd)
	}
}
