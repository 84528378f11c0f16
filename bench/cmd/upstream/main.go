// Command upstream is a server for tests of load balancers. It echoes messages, and can be configured to send invalid handshake responses.
// On SIGTERM it closes its connections with 1001 (going away) and exits. It responds to all other requests with 200 or, after SIGUSR1, with
// 503.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/handfast/handfast/bench/internal/behave"
	"github.com/handfast/handfast/websocket"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("upstream", flag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "host:port")
	answer := f.String("answer", behave.AnswerUpgrade, "how handshakes are answered")
	if err := f.Parse(args); err != nil {
		return err
	}
	endpoint := &websocket.Endpoint{
		// Without pings of this server, every ping that a client receives is from the balancer.
		Accept: websocket.AcceptOptions{AnyOrigin: true, Conn: websocket.ConnOptions{PingInterval: -1}},
		Open:   func(to websocket.Sender) websocket.Receiver { return echo{to} },
	}
	var leaving atomic.Bool
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	defer signal.Stop(usr1)
	go func() {
		select {
		case <-usr1:
			leaving.Store(true)
		case <-ctx.Done():
		}
	}()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(behave.ServerField, *listen)
		w.Header().Set(behave.GenerationField, r.Header.Get(behave.GenerationField))
		switch {
		case r.Header.Get("Upgrade") == "" && leaving.Load():
			http.Error(w, "about to leave", http.StatusServiceUnavailable)
		case r.Header.Get("Upgrade") == "":
			fmt.Fprintln(w, "here")
		case *answer == behave.AnswerUpgrade:
			endpoint.ServeHTTP(w, r)
		case *answer == behave.AnswerWrongKey:
			wrongKey(w)
		case *answer == behave.AnswerUnavailable:
			http.Error(w, "not now", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(w, "here is a page")
		}
	})
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return errors.Join(endpoint.Shutdown(bounded), server.Close())
}

// wrongKey sends a handshake response with an invalid Sec-WebSocket-Accept.
func wrongKey(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer c.Close()
	fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")
	_, _ = io.Copy(io.Discard, c) // returns when the balancer closes the connection
}

// echo is a Receiver that sends back every message.
type echo struct{ to websocket.Sender }

func (e echo) Message(m websocket.Message) error { return e.to.Send(m) }
func (e echo) Closed(*websocket.CloseError)      {}
