package reconnect_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/protocol"
	"github.com/handfast/handfast/websocket/reconnect"
	"github.com/handfast/handfast/websocket/wstest"
)

var (
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	errBroken  = &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	errOwn     = errors.New("an error of the application")
)

// server determines the result of each dial: an error, or a peer that runs a function. After the last play it repeats the last one. It
// records the times of the dials.
type server struct {
	t      *testing.T
	script []any // error, or func(*wstest.Peer)
	dials  []time.Time
	peers  []*wstest.Peer
}

func (s *server) dial(context.Context) (*websocket.Conn, error) {
	play := s.script[min(len(s.dials), len(s.script)-1)]
	s.dials = append(s.dials, time.Now())
	if err, ok := play.(error); ok {
		return nil, err
	}
	opts := &wstest.Options{}
	opts.Client.PingInterval = -1
	p, c := wstest.PipePeer(s.t, protocol.RoleServer, opts)
	s.peers = append(s.peers, p)
	play.(func(*wstest.Peer))(p)
	return c, nil
}

// closes returns a peer that sends frames and a close frame with code, and then disconnects.
func closes(code websocket.Code, frames ...wstest.Frame) func(*wstest.Peer) {
	return func(p *wstest.Peer) {
		if err := errors.Join(p.Send(append(frames, wstest.CloseFrame(code, ""))...), p.CloseWrite()); err != nil {
			panic(err)
		}
	}
}

// stays is a peer that keeps the connection open and sends nothing.
func stays(*wstest.Peer) {}

// disconnects is a peer that disconnects immediately.
func disconnects(p *wstest.Peer) { p.Close() }

// read is a handler that reads until the connection ends.
func read(ctx context.Context, c *websocket.Conn) error {
	for {
		if _, err := c.Read(ctx); err != nil {
			return err
		}
	}
}

// messages is a handler that returns no error if the connection ends normally.
func messages(ctx context.Context, c *websocket.Conn) error {
	for _, err := range c.Messages(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestRunEnds(t *testing.T) {
	returns := func(err error) handler { return func(context.Context, *websocket.Conn) error { return err } }
	tests := []struct {
		name   string
		plays  []any
		handle handler
		opts   *reconnect.Options
		dials  int
		want   func(error) bool
	}{
		{"1000", []any{closes(1000)}, read, nil, 1, isNil},
		{"1000, and handle returns nil", []any{closes(1000)}, messages, nil, 1, isNil},
		{"1001, then 1000", []any{closes(1001), closes(1000)}, read, nil, 2, isNil},
		{"1001, and handle returns nil, then 1000", []any{closes(1001), closes(1000)}, messages, nil, 2, isNil},
		{"all temporary failures", []any{errRefused, disconnects, closes(1011), closes(1012), closes(1013), closes(1005), closes(4000), closes(1000)},
			read, nil, 8, isNil},
		{"1008", []any{closes(1001), closes(1008)}, read, nil, 2, hasCode(1008)},
		{"a violation by the peer", []any{func(p *wstest.Peer) { p.Write([]byte{0xff}); p.Write([]byte{0xff}); p.Close() }}, read, nil, 1, //nolint:errcheck // writes in memory do not fail
			hasCode(1002)},
		{"handle is finished", []any{stays}, returns(nil), nil, 1, isNil},
		{"handle is finished, and has ended the connection",
			[]any{stays}, func(_ context.Context, c *websocket.Conn) error { return c.CloseNow() }, nil, 1, isNil},
		{"an error of handle's own", []any{stays}, returns(errOwn), nil, 1, isError(errOwn)},
		{"an error of handle's own after the peer has gone", []any{closes(1001)}, func(ctx context.Context, c *websocket.Conn) error {
			return errors.Join(errOwn, ignore(read(ctx, c)))
		}, nil, 1, isError(errOwn)},
		{"a write that fails after 1008", []any{closes(1008)}, func(ctx context.Context, c *websocket.Conn) error {
			return errors.Join(errBroken, ignore(read(ctx, c)))
		}, nil, 1, func(err error) bool { return isError(errBroken)(err) && hasCode(1008)(err) }},
		{"a write that fails for an unknown reason", []any{stays, closes(1000)}, first(errBroken, read), nil, 2, isNil},
		{"a timeout in handle", []any{stays, closes(1000)}, func(ctx context.Context, c *websocket.Conn) error {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			return read(ctx, c)
		}, nil, 2, isNil},
		{"handle closes with a code of its own", []any{stays}, func(ctx context.Context, c *websocket.Conn) error {
			c.Close(4001, "enough") //nolint:errcheck // Close fails, because the peer does not answer the close frame
			return read(ctx, c)
		}, nil, 1, hasCode(4001)},
		{"a status that stops", []any{errRefused, &websocket.HandshakeError{Stage: handshake.StageStatus, Status: 403}}, read, nil, 2,
			func(err error) bool { var he *websocket.HandshakeError; return errors.As(err, &he) && he.Status == 403 }},
		{"a verdict that stops", []any{errRefused}, read, verdict(reconnect.Stop), 1, isError(errRefused)},
		{"a verdict that is done", []any{errRefused}, read, verdict(reconnect.Done), 1, isNil},
		{"a verdict that leaves the decision to Judge", []any{errRefused, closes(1000)}, read, verdict(reconnect.Default), 2, isNil},
		{"too many attempts", []any{errRefused}, read, &reconnect.Options{MaxAttempts: 3}, 3, isError(errRefused)},
		{"too many attempts, with connections", []any{closes(1001)}, read, &reconnect.Options{MaxAttempts: 4}, 4, hasCode(1001)},
		{"no time for another attempt", []any{errRefused}, read, &reconnect.Options{MaxElapsed: time.Nanosecond}, 1, isError(errRefused)},
		{"OnConnect fails", []any{stays}, read, &reconnect.Options{OnConnect: onConnect(errOwn)}, 1, isError(errOwn)},
		{"OnConnect finds the connection ended", []any{closes(1008)}, messages, &reconnect.Options{
			OnConnect: func(ctx context.Context, c *websocket.Conn, _ reconnect.Session) error { return read(ctx, c) }}, 1, hasCode(1008)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{t: t, script: tt.plays}
				err := reconnect.Run(t.Context(), s.dial, tt.handle, tt.opts)
				if !tt.want(err) {
					t.Errorf("Run returned %v", err)
				}
				if len(s.dials) != tt.dials {
					t.Errorf("%d dials, want %d", len(s.dials), tt.dials)
				}
			})
		})
	}
}

type handler = func(context.Context, *websocket.Conn) error

// first returns a handler that returns err for the first connection, and calls then for the others.
func first(err error, then handler) handler {
	return func(ctx context.Context, c *websocket.Conn) error {
		if err == nil {
			return then(ctx, c)
		}
		defer func() { err = nil }()
		return err
	}
}

func isNil(err error) bool { return err == nil }

func isError(want error) func(error) bool {
	return func(err error) bool { return errors.Is(err, want) }
}

func hasCode(code websocket.Code) func(error) bool {
	return func(err error) bool { return websocket.CloseCode(err) == code }
}

func ignore(error) error { return nil }

func verdict(v reconnect.Verdict) *reconnect.Options {
	return &reconnect.Options{Verdict: func(reconnect.Failure) reconnect.Verdict { return v }}
}

func onConnect(err error) func(context.Context, *websocket.Conn, reconnect.Session) error {
	return func(context.Context, *websocket.Conn, reconnect.Session) error { return err }
}

// Run waits for the delays that it reports to OnRetry, and each is within the limit for its attempt.
func TestRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plays := slices.Repeat([]any{errRefused}, 8)
		s := &server{t: t, script: append(plays, closes(1000))}
		var delays []time.Duration
		opts := &reconnect.Options{OnRetry: func(f reconnect.Failure, d time.Duration) {
			if !f.Dialing || f.Attempt != len(delays)+1 || !errors.Is(f.Err, errRefused) || f.Lived != 0 {
				t.Errorf("attempt %d failed with %+v", len(delays)+1, f)
			}
			delays = append(delays, d)
		}}
		if err := reconnect.Run(t.Context(), s.dial, read, opts); err != nil {
			t.Fatal(err)
		}
		if len(delays) != 8 {
			t.Fatalf("%d retries", len(delays))
		}
		bound := time.Second
		for i, d := range delays {
			if d < 0 || d >= bound {
				t.Errorf("delay %d is %v, want less than %v", i+1, d, bound)
			}
			if waited := s.dials[i+1].Sub(s.dials[i]); waited != d {
				t.Errorf("dial %d was after %v, but %v was reported", i+2, waited, d)
			}
			bound = min(2*bound, 30*time.Second)
		}
	})
}

func TestRunGivesTheServerTime(t *testing.T) {
	retryAfter := &websocket.HandshakeError{Stage: handshake.StageStatus, Status: 503, Header: http.Header{"Retry-After": {"120"}}}
	tests := []struct {
		name      string
		play      any
		low, high time.Duration
	}{
		{"1012", closes(1012), 5 * time.Second, 30 * time.Second},
		{"1013", closes(1013), 5 * time.Second, 30 * time.Second},
		{"429", &websocket.HandshakeError{Stage: handshake.StageStatus, Status: 429}, 5 * time.Second, 30 * time.Second},
		{"503 with Retry-After", retryAfter, 120 * time.Second, 121 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{t: t, script: []any{tt.play, closes(1000)}}
				if err := reconnect.Run(t.Context(), s.dial, read, nil); err != nil {
					t.Fatal(err)
				}
				if waited := s.dials[1].Sub(s.dials[0]); waited < tt.low || waited >= tt.high {
					t.Errorf("dialed again after %v, want %v to %v", waited, tt.low, tt.high)
				}
			})
		})
	}
}

// A connection that lasted for MaxDelay was good, and restarts the count. A shorter connection counts as a failure.
func TestRunRestartsTheCountAfterAGoodConnection(t *testing.T) {
	lives := func(d time.Duration) func(*wstest.Peer) {
		return func(p *wstest.Peer) { time.AfterFunc(d, p.Close) }
	}
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, script: []any{errRefused, errRefused, lives(29 * time.Second), lives(30 * time.Second), errRefused, closes(1000)}}
		var attempts []int
		var lived []time.Duration
		opts := &reconnect.Options{OnRetry: func(f reconnect.Failure, _ time.Duration) {
			attempts, lived = append(attempts, f.Attempt), append(lived, f.Lived)
		}}
		if err := reconnect.Run(t.Context(), s.dial, read, opts); err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 2, 3, 1, 2}; !slices.Equal(attempts, want) {
			t.Errorf("attempts %v, want %v", attempts, want)
		}
		if want := []time.Duration{0, 0, 29 * time.Second, 30 * time.Second, 0}; !slices.Equal(lived, want) {
			t.Errorf("lived %v, want %v", lived, want)
		}
	})
}

// MaxElapsed counts from the last good connection, and Run does not begin a wait that would exceed it.
func TestRunMaxElapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, script: []any{func(p *wstest.Peer) { time.AfterFunc(time.Hour, p.Close) }, errRefused}}
		begun := time.Now()
		err := reconnect.Run(t.Context(), s.dial, read, &reconnect.Options{MaxElapsed: 10 * time.Minute})
		if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "gave up after") {
			t.Errorf("Run returned %v", err)
		}
		took := time.Since(begun) - time.Hour
		if took > 10*time.Minute || took < 9*time.Minute {
			t.Errorf("gave up %v after the good connection, want 9m30s to 10m", took)
		}
	})
}

func TestRunPassesTheSessionToOnConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, script: []any{closes(1001), errRefused, closes(1011), closes(1000)}}
		var sessions []reconnect.Session
		var order []string
		opts := &reconnect.Options{OnConnect: func(_ context.Context, _ *websocket.Conn, s reconnect.Session) error {
			sessions = append(sessions, s)
			order = append(order, "hook")
			return nil
		}}
		err := reconnect.Run(t.Context(), s.dial, func(ctx context.Context, c *websocket.Conn) error {
			order = append(order, "handle")
			return read(ctx, c)
		}, opts)
		if err != nil || len(sessions) != 3 {
			t.Fatalf("%v, sessions %+v", err, sessions)
		}
		if want := strings.Repeat("hook handle ", 3); strings.Join(order, " ")+" " != want {
			t.Errorf("called in the order %v", order)
		}
		if sessions[0] != (reconnect.Session{Number: 1}) {
			t.Errorf("the first connection is %+v", sessions[0])
		}
		if two := sessions[1]; two.Number != 2 || two.Attempt != 2 || !errors.Is(two.After, errRefused) || two.Away != s.dials[2].Sub(s.dials[0]) {
			t.Errorf("the second connection is %+v, dialed at %v", two, s.dials)
		}
		if three := sessions[2]; three.Number != 3 || three.Attempt != 3 || websocket.CloseCode(three.After) != 1011 {
			t.Errorf("the third connection is %+v", three)
		}
	})
}

func TestRunUntilItsContextEnds(t *testing.T) {
	errQuit := errors.New("the user has quit")
	tests := []struct {
		name string
		play any // before ctx is canceled, a minute after the start
		last error
	}{
		{"while dialing", "dial", nil},
		{"while waiting", &websocket.HandshakeError{Status: 503, Header: http.Header{"Retry-After": {"3600"}}}, new(websocket.HandshakeError)},
		{"while handling", stays, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Minute, func() { cancel(errQuit) })
				s := &server{t: t, script: []any{tt.play}}
				dial := s.dial
				if tt.play == "dial" {
					dial = func(ctx context.Context) (*websocket.Conn, error) {
						<-ctx.Done()
						return nil, fmt.Errorf("dial: %w", ctx.Err())
					}
				}
				begun := time.Now()
				err := reconnect.Run(ctx, dial, read, nil)
				if !errors.Is(err, context.Canceled) || !errors.Is(err, errQuit) {
					t.Errorf("Run returned %v", err)
				}
				var he *websocket.HandshakeError
				if tt.last != nil && !errors.As(err, &he) {
					t.Errorf("the error does not wrap the last failure: %v", err)
				}
				if strings.Contains(err.Error(), "before that") != (tt.last != nil) {
					t.Errorf("%q must be in the error if and only if there was an earlier failure: %v", "before that", err)
				}
				// The limit includes 5 seconds for a closing handshake to which the peer does not reply.
				if took := time.Since(begun); took < time.Minute || took > 65*time.Second {
					t.Errorf("Run took %v", took)
				}
			})
		})
	}
}

func TestRunWithAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &server{t: t, script: []any{stays}}
	if err := reconnect.Run(ctx, s.dial, read, nil); !errors.Is(err, context.Canceled) || len(s.dials) != 0 {
		t.Errorf("%v after %d dials", err, len(s.dials))
	}
}

// The table contains the close code that the peer receives from Run if handle leaves the connection open. 0 means that the
// connection is cut.
func TestRunClosesTheConnection(t *testing.T) {
	tests := []struct {
		name   string
		handle func(cancel func()) error
		want   websocket.Code
	}{
		{"finished", func(func()) error { return nil }, websocket.CodeNormal},
		{"an error of its own", func(func()) error { return errOwn }, websocket.CodeGoingAway},
		{"the context has ended", func(cancel func()) error { cancel(); return context.Canceled }, websocket.CodeGoingAway},
		{"finished, and the context has ended", func(cancel func()) error { cancel(); return nil }, websocket.CodeGoingAway},
		{"the network failed", func(func()) error { return errRefused }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s := &server{t: t, script: []any{stays}}
				var inner context.Context
				var outlived time.Duration
				err := reconnect.Run(ctx, s.dial, func(ctx context.Context, _ *websocket.Conn) error {
					inner = ctx
					begun := time.Now()
					context.AfterFunc(ctx, func() { outlived = time.Since(begun) })
					return tt.handle(cancel)
				}, &reconnect.Options{MaxAttempts: 1})
				f, readErr := s.peers[0].Next()
				if f.Code() != tt.want || (readErr != nil) != (tt.want == 0) {
					t.Errorf("the peer read %v, %v; Run returned %v", f, readErr, err)
				}
				if synctest.Wait(); inner.Err() == nil || outlived != 0 {
					t.Errorf("handle's context outlives handle by %v: %v", outlived, inner.Err())
				}
			})
		})
	}
}

func TestRunEndsTheConnectionWhenHandlePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{t: t, script: []any{stays}}
		var c *websocket.Conn
		var inner context.Context
		defer func() {
			if r := recover(); r != "on purpose" || c.Context().Err() == nil || inner.Err() == nil {
				t.Errorf("recovered %v; the connection: %v; its context: %v", r, context.Cause(c.Context()), inner.Err())
			}
		}()
		reconnect.Run(t.Context(), s.dial, func(ctx context.Context, conn *websocket.Conn) error { //nolint:errcheck // Run does not return, because handle panics
			c, inner = conn, ctx
			panic("on purpose")
		}, nil)
	})
}
