//go:build linux

// Command peer runs an echo or broadcast server with one of the compared libraries on the loopback interface. It prints its
// address, and exits when its standard input is closed.
//
// A line "gc" on standard input returns all unused memory to the system. The response is a line that begins with "gc" and contains
// the heap size in bytes and objects, and the stack size in bytes.
package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"

	"github.com/handfast/handfast/bench/internal/peers"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	var (
		f       = flag.NewFlagSet("peer", flag.ContinueOnError)
		c       peers.Config
		server  = f.String("server", "handfast", "name of the server; -list prints all names")
		list    = f.Bool("list", false, "print the names of the servers, and exit")
		secure  = f.Bool("tls", false, "serve TLS, with the certificate in -cert")
		cert    = f.String("cert", "", "PEM file with a certificate and its key; if empty, a new certificate is made")
		port    = f.Int("port", 0, "port to listen on; 0 means a free one")
		procs   = f.Int("procs", 0, "GOMAXPROCS; 0 does not change it")
		profile = f.String("cpuprofile", "", "write a CPU profile to this file at the end")
	)
	f.BoolVar(&c.Broadcast, "broadcast", false, "send each message to all connections instead of echoing it")
	f.StringVar(&c.Compress, "compress", "", "each (no context takeover) or takeover")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *list {
		for _, p := range peers.All() {
			fmt.Fprintf(out, "%-16s %s\n", p.Name, p.Note)
		}
		return nil
	}
	p, ok := peers.Find(*server)
	if !ok {
		return fmt.Errorf("peer: no server %q", *server)
	}
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	if *secure {
		var err error
		if c.TLS, err = peers.TLSConfig(); err != nil {
			return err
		}
		if *cert != "" {
			if c.TLS.Certificates[0], err = tls.LoadX509KeyPair(*cert, *cert); err != nil {
				return err
			}
		}
	}
	if *profile != "" {
		stop, err := startProfile(*profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	return serve(p, c, *port, in, out)
}

func startProfile(name string) (stop func(), err error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

func serve(p peers.Peer, c peers.Config, port int, in io.Reader, out io.Writer) error {
	ln, err := p.Listen(port)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(c, ln) }()
	fmt.Fprintf(out, "%s %s\n", p.Name, ln.Addr())
	told := make(chan struct{})
	go func() {
		defer close(told)
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			if lines.Text() == "gc" {
				// A pool releases its content within two garbage collections; the third one frees finalized memory.
				for range 3 {
					debug.FreeOSMemory()
				}
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				fmt.Fprintf(out, "gc heap=%d objects=%d stacks=%d\n", m.HeapAlloc, m.HeapObjects, m.StackInuse)
			}
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-told:
		return nil
	}
}
