//go:build linux

// Command load measures the cost of a load for a WebSocket server, and prints the result as JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/handfast/handfast/bench/internal/load"
)

func main() {
	var c load.Config
	flag.StringVar(&c.Addr, "addr", "", "the server, host:port on the loopback interface")
	flag.StringVar(&c.Mode, "mode", load.ModeEcho, "upgrade, echo, broadcast, still or idle (until the end of standard input)")
	flag.IntVar(&c.Conns, "conns", 100, "connections")
	flag.IntVar(&c.Size, "size", 128, "bytes of a payload")
	flag.IntVar(&c.Fragments, "fragments", 1, "frames per message, each of that many bytes")
	flag.IntVar(&c.Flight, "flight", 1, "messages sent together")
	flag.IntVar(&c.Busy, "busy", 0, "echo: connections with messages in flight; 0 means all")
	flag.IntVar(&c.Rate, "rate", 0, "echo: messages per second; 0 means as fast as they are answered")
	flag.IntVar(&c.Messages, "messages", 1, "idle: messages of each connection before it is held")
	flag.StringVar(&c.Compress, "compress", "", "each or takeover")
	flag.BoolVar(&c.Raw, "raw", false, "the server is not a WebSocket server and echoes its input")
	flag.BoolVar(&c.TLS, "tls", false, "over TLS")
	flag.BoolVar(&c.NoOrigin, "no-origin", false, "the handshake has no Origin")
	flag.DurationVar(&c.Warm, "warm", 200*time.Millisecond, "how long to warm up")
	flag.DurationVar(&c.For, "for", time.Second, "how long to measure")
	flag.IntVar(&c.PID, "pid", 0, "the server's process, to measure its CPU time")
	flag.Parse()
	r, err := load.Run(c, func() {
		fmt.Fprintln(os.Stdout, "ready")
		_, _ = io.Copy(io.Discard, os.Stdin) // returns when the parent closes it
	})
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
