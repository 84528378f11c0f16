// Handfast is everything for WebSocket in one program: "handfast --help" lists what it does.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/handfast/handfast/cli"
)

func main() {
	// A reader of our output that goes away is an error of the write, and no reason to die without closing.
	signal.Ignore(syscall.SIGPIPE)
	// The second signal means at once, so there is room for two.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	os.Exit(cli.Run(context.Background(), os.Args[1:], cli.System{
		Program: os.Args[0],
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Signals: signals,
		Getenv:  os.Getenv,
	}))
}
