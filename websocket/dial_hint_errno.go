//go:build !plan9

package websocket

import (
	"errors"
	"syscall"
)

// tcpHint returns the next step after a connection could not be opened.
func tcpHint(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing is listening on that port: check the port, and that the server is running"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to that address: check the network, a VPN, IPv6"
	}
	return ""
}
