//go:build !linux

package gateway

import "net"

// setKeepAlive leaves keep-alive to package net, which sets it on each connection.
func setKeepAlive(*net.ListenConfig) {}
