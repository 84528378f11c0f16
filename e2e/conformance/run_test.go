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

// testCase is a script for the peer, which checks the expected result, and the conditions under which the script runs.
type testCase struct {
	id     string // Autobahn's number, or a number with an h
	title  string
	clause string // section of RFC 6455, unless another RFC is named
	script func(p *peer)
	late   func(p *peer) // the script for a subject that inflates only complete messages; nil means script
	app    app           // the behavior of the library's side; the zero value echoes
	only   []role        // the tested roles; nil means both
	ext    *extension    // the use of permessage-deflate; nil means none
	heavy  bool          // many bytes or messages: run only as written, with few concurrent cases
	bulk   bool          // heavy only because of the message size; smaller cases are similar
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

// someCuts returns the cuts of everyCut without asWritten, if the case is not heavy.
func (c testCase) someCuts() []cut {
	if c.heavy {
		return []cut{asWritten}
	}
	return []cut{bytewise, joined, overTLS}
}

// app is the behavior of the library's side of a connection.
type app struct {
	limit     int64 // MaxMessage; 0 means 16 MiB, the size of the largest message; -1 means no limit
	closeCode int   // if not 0, close with this code on the first message instead of echoing
	reason    string
	compress  bool // accept permessage-deflate, and compress all messages
	calls     calls
}

// calls selects the read and write methods that a loop uses. Subjects with view set always use View. Otherwise a
// case that is not heavy uses different methods for each cut, and a heavy case specifies its methods.
type calls int

const (
	byRead calls = iota
	bySend
	byStream
	byMessages
	byView
)

var callsFor = map[cut]calls{asWritten: byRead, bytewise: bySend, joined: byStream, overTLS: byMessages}

// runTimeout is the time limit for a run. The steps of a run have shorter limits.
const runTimeout = 6 * time.Minute

// runAgainstServer starts the library's server on its own port, to which the peer connects.
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
		_ = srv.Serve(ln) // returns http.ErrServerClosed after srv.Close
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

// runAgainstClient makes the library's client dial a port on which the peer listens.
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
	if err := ln.SetDeadline(time.Now().Add(readTimeout)); err != nil {
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

// playOut runs the script, and checks that the library's side has finished, too.
func playOut(p *peer, c testCase, done <-chan error) error {
	c.script(p)
	p.zip.done()
	p.conn.Close()
	timer := time.NewTimer(readTimeout)
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
