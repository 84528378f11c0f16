// Handfast is a WebSocket server, a balancer and a set of tools in one program. "handfast --help" lists the commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/handfast/handfast/cli"
)

func main() {
	// If the reader of the output closes the pipe, the write must fail. SIGPIPE would end the process before it closes its connections.
	signal.Ignore(syscall.SIGPIPE)
	// A second signal means to stop immediately, so the channel has room for two.
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
