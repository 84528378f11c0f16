// Package site is the web server that all examples share.
package site

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/handfast/handfast/client/js"
)

// A Site is an example: a page, the browser client at /channels.js, and the handlers added by Register.
type Site struct {
	// Name is the name of the example.
	Name string

	// Listen is the listen address, unless the flag -listen overrides it.
	Listen string

	// Page contains the served files, including index.html.
	Page fs.FS

	// Register adds handlers to mux, starts background work, and returns a function that closes connections and stops that work.
	Register func(mux *http.ServeMux) (shutdown func(context.Context) error)

	// Patience is how long pages may take to disconnect at shutdown before their connections are cut. 0 means five seconds.
	Patience time.Duration
}

// Main serves s until the process receives SIGINT or SIGTERM.
func Main(s Site) {
	flag.StringVar(&s.Listen, "listen", s.Listen, "the `address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := Run(ctx, s, func(url string) { fmt.Fprintln(os.Stdout, s.Name+" is serving "+url) }); err != nil {
		log.Fatal(err)
	}
}

// Run serves s until ctx is done. It calls ready when it listens. Connections that remain open are cut, which is not an error.
func Run(ctx context.Context, s Site, ready func(url string)) error {
	l, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(s.Page))
	mux.HandleFunc("GET /channels.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Write(js.Module) //nolint:errcheck // the write fails only if the browser has disconnected
	})
	end := s.Register(mux)
	server := &http.Server{Handler: http.NewCrossOriginProtection().Handler(mux), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	ready("http://" + l.Addr().String() + "/")
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), cmp.Or(s.Patience, 5*time.Second))
	defer cancel()
	ended := end(last)
	if shut := server.Shutdown(last); shut != nil { // fails if a browser keeps a connection that it has not used yet
		ended = errors.Join(ended, shut, server.Close())
	}
	if errors.Is(ended, context.DeadlineExceeded) {
		log.Print("pages were cut: ", ended)
		ended = nil
	}
	return errors.Join(err, ended)
}
