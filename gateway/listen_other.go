//go:build !linux

package gateway

import "net"

// keptAlive leaves keep-alive to package net, which sets it on each connection.
func keptAlive(*net.ListenConfig) {}
