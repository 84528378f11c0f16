package gateway

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"
)

// ListenError is the error of an address that could not be bound.
type ListenError struct {
	Addr string // as configured
	Err  error  // the error of the system
	Hint string // the next step; may be empty
}

// Error returns the address and the error. It does not contain the hint, which the program shows separately.
func (e *ListenError) Error() string { return "listen on " + e.Addr + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *ListenError) Unwrap() error { return e.Err }

// NextStep returns e.Hint.
func (e *ListenError) NextStep() string { return e.Hint }

// listen binds one address. "localhost" means two addresses: whether a client tries 127.0.0.1 or ::1 first, it must reach this
// server and no other program.
func listen(ctx context.Context, addr string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host != "localhost" {
		l, err := bind(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	const tries = 8 // a port that is free on 127.0.0.1 may be in use on ::1
	for i := 1; ; i++ {
		four, err := bind(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, err
		}
		_, picked, _ := net.SplitHostPort(four.Addr().String())
		six, err := bind(ctx, "tcp6", net.JoinHostPort("::1", picked))
		switch {
		case err == nil:
			return []net.Listener{four, six}, nil
		case isNoIPv6(err):
			return []net.Listener{four}, nil
		case port != "0" || i == tries:
			four.Close()
			return nil, err
		}
		four.Close()
	}
}

// bind returns a listener: the one that was passed to the process, or a new one.
func bind(ctx context.Context, network, addr string) (net.Listener, error) {
	if l := inherited().take(network, addr); l != nil {
		return l, nil
	}
	var config net.ListenConfig
	setKeepAlive(&config)
	return config.Listen(ctx, network, addr)
}

// isNoIPv6 reports whether an address could not be bound because the machine has no address of that family.
func isNoIPv6(err error) bool {
	var addr *net.AddrError // no interface has an IPv6 address
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.As(err, &addr)
}

// displayAddr returns the host and port to show in a URL, given the configured address and the bound one.
func displayAddr(asked string, bound net.Addr) string {
	host, _, err := net.SplitHostPort(asked)
	tcp, ok := bound.(*net.TCPAddr)
	if err != nil || !ok {
		return bound.String()
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // the server listens on all addresses, including loopback
	}
	return net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// listenError removes the wrapping of package net, and adds the next step.
func listenError(addr string, err error) *ListenError {
	e := &ListenError{Addr: addr, Err: err}
	var op *net.OpError
	if errors.As(err, &op) {
		e.Err = op.Err
	}
	var sys syscall.Errno
	if errors.As(err, &sys) {
		e.Err = sys
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Hint = "stop the program that listens there, or use another port; port 0 selects a free one"
	case errors.Is(err, syscall.EACCES):
		e.Hint = "ports below 1024 require privileges: use a higher one"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Hint = "no interface of this machine has that address: use 127.0.0.1, or omit the host for all interfaces"
	case errors.As(err, &dns):
		e.Hint = "check the spelling, or write the IP address"
	}
	return e
}

// DefaultListen is the default address of a server.
const DefaultListen = "localhost:8443"
