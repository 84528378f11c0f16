package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// testCase is one situation and what has to come of it.
type testCase struct {
	id     string // of Autobahn's numbering, or with an h
	title  string
	clause string // of RFC 6455, where no other is named
	script func(p *peer)
	late   func(p *peer) // the script for a subject that inflates a message when all of it is there; nil means the same
	app    app           // what the library's side does; the zero value echoes
	only   []role        // nil means both
	ext    *extension    // nil means no permessage-deflate
	heavy  bool          // megabytes, or thousands of messages: run as written only, and few at once
	bulk   bool          // heavy by its bytes alone, with lighter cases like it
}

func (c testCase) tests(r role) bool {
	for _, o := range c.only {
		if o == r {
			return true
		}
	}
	return c.only == nil
}

// everyCut returns the ways in which the case's bytes are cut.
func (c testCase) everyCut() []cut {
	if c.heavy {
		return []cut{asWritten}
	}
	return []cut{asWritten, bytewise, joined, overTLS}
}

// someCuts is everyCut with the ways that differ most.
func (c testCase) someCuts() []cut {
	if c.heavy {
		return []cut{asWritten}
	}
	return []cut{bytewise, joined, overTLS}
}

// app is what the library's side does with a connection.
type app struct {
	limit     int64 // MaxMessage; 0 means 16 MiB, the largest message in the suite; -1 means no limit
	closeCode int   // not 0: close with this when the first message comes, in place of echoing it
	reason    string
	compress  bool // agree to permessage-deflate, and compress everything
	calls     calls
}

// calls says which of the library's ways to read and write a loop uses. A small case goes through all of them: by View where
// the subject reads so, else one with each cut. A heavy one names its own.
type calls int

const (
	byRead calls = iota
	bySend
	byStream
	byMessages
	byView
)

var callsFor = map[cut]calls{asWritten: byRead, bytewise: bySend, joined: byStream, overTLS: byMessages}

// limits for a run: everything in it has a bound of its own, this is the sum.
const runTimeout = 6 * time.Minute

// runAgainstServer makes the library serve on a port of its own, and the peer connect to it.
func runAgainstServer(ctx context.Context, c testCase, how cut) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server, client := tlsConfigs()
	if how == overTLS {
		ln = tls.NewListener(ln, server)
	}
	done := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		done <- serve(ctx, w, req, c.app)
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(ln) // ends with http.ErrServerClosed, below
	}()
	defer func() {
		srv.Close()
		<-served
	}()

	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	if how == overTLS {
		conn = tls.Client(conn, client)
	}
	defer conn.Close()
	p := newPeer(conn, testServer, how)
	p.openAsClient(ln.Addr().String(), c.ext)
	return playOut(p, c, done)
}

// runAgainstClient makes the library dial a port on which the peer waits.
func runAgainstClient(ctx context.Context, c testCase, how cut) error {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer ln.Close()
	done := make(chan error, 1)
	url := "ws://" + ln.Addr().String()
	if how == overTLS {
		url = "wss://" + ln.Addr().String()
	}
	go func() { done <- dial(ctx, url, c.app) }()
	if err := ln.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	conn, err := ln.Accept()
	if err != nil {
		return fmt.Errorf("the client did not connect: %w", err)
	}
	if how == overTLS {
		server, _ := tlsConfigs()
		conn = tls.Server(conn, server)
	}
	defer conn.Close()
	p := newPeer(conn, testClient, how)
	p.openAsServer(c.ext)
	return playOut(p, c, done)
}

// playOut plays the script, and then sees to it that the library's side has come to its end too.
func playOut(p *peer, c testCase, done <-chan error) error {
	c.script(p)
	p.zip.done()
	p.conn.Close()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var appErr error
	select {
	case appErr = <-done:
	case <-timer.C:
		return errors.Join(p.err, errors.New("the loop on the library's side does not end"))
	}
	if p.err == nil && !p.ended {
		return errors.New("the script does not wait for the end of TCP")
	}
	if p.err != nil {
		return fmt.Errorf("%w; the library's side ended with: %v", p.err, appErr)
	}
	return nil
}
