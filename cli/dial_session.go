package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/protocol"
)

// input returns the messages to send, and io.EOF at the end. The data is valid until the next call.
type input interface {
	next() (websocket.Message, error)
}

// errPing is returned by an input to request a ping; the input continues.
var errPing = errors.New("ping")

// errBroken is the result of send when the connection has ended.
var errBroken = errors.New("the connection was lost")

// closing is the error that an input returns when the user requests to close the connection without waiting for replies.
type closing struct {
	code   websocket.Code
	reason string
}

func (c *closing) Error() string { return "close with " + c.code.String() }

// output writes the message that r reads to w.
type output func(typ websocket.Type, r io.Reader, w io.Writer) error

// outputError is an error of writing to standard output.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write to standard output: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// session transfers messages between a connection and the user. run must be called once.
type session struct {
	conn    *websocket.Conn
	in      *feed
	out     output
	w       io.Writer        // the destination of out
	say     func(string)     // shows the user a line that is not a message; nil means that only errors are shown
	leave   func()           // called at the end of the input to restore the terminal, so that Ctrl-C raises a signal; may be nil
	wait    time.Duration    // how long to read after the end of the input; 0 means until the server is quiet
	keep    bool             // whether another session with the same terminal follows if the connection is lost
	signals <-chan os.Signal // the first signal closes the connection, the second one cuts it

	moved  chan struct{} // signaled when something was received, or was written to w
	inside atomic.Bool   // whether a message is being received
	busy   atomic.Bool   // whether w is being written to
	over   chan struct{} // closed when no more messages will be received
	why    error         // the reason why over is closed
	end    closing       // the code and reason to close with
	lost   bool          // whether the server or the network ended the connection before the work was complete
	pings  sync.WaitGroup
}

// run transfers messages until either side ends the session.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.moved, s.over = make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(s.over)
		for s.why == nil {
			s.why = s.receive(ctx)
		}
	}()
	sent := make(chan error, 1)
	go func() { sent <- s.send(ctx) }()

	s.end.code = websocket.CodeNormal
	var failed error
	select {
	case <-s.over:
		s.lost = true
	case <-s.signals:
	case err := <-sent:
		sent <- nil
		if !errors.Is(err, errBroken) {
			s.left()
			failed = s.inputEnded(ctx, err)
		} else {
			s.lost = true
		}
	}
	if !s.lost || !s.keep {
		s.left()
	}
	err := errors.Join(failed, s.close())
	cancel()
	<-sent
	s.pings.Wait()
	var e *websocket.CloseError
	s.lost = s.lost && errors.As(s.why, &e)
	return err
}

// receive receives one message and writes it.
func (s *session) receive(ctx context.Context) error {
	typ, r, err := s.conn.Reader(ctx)
	if err != nil {
		return err
	}
	s.inside.Store(true)
	err = s.out(typ, &noted{r, s.arrived}, s)
	s.inside.Store(false)
	s.arrived()
	return err
}

// left calls leave, if there is one, to restore the terminal.
func (s *session) left() {
	if s.leave != nil {
		s.leave()
	}
}

// send sends the input. It returns the error that stopped it.
func (s *session) send(ctx context.Context) error {
	for {
		m, err := s.in.take(ctx)
		switch {
		case errors.Is(err, errPing):
			s.pings.Go(func() { s.ping(ctx) })
		case err != nil:
			return err
		case s.conn.Write(ctx, m) != nil:
			<-s.over // waits until the reader has stored the reason
			return errBroken
		}
		s.in.done()
	}
}

// pingTime is how long /ping waits for the pong.
const pingTime = 10 * time.Second

// ping pings the server, and reports the round-trip time.
func (s *session) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	took, err := s.conn.Ping(ctx)
	switch {
	case err == nil:
		s.tell("pong after " + took.Round(time.Microsecond).String())
	case errors.Is(err, context.DeadlineExceeded):
		s.tell("no pong within " + pingTime.String())
	}
}

// inputEnded waits for replies after the end of the input, if necessary. It returns the error of the input, or of the wait.
func (s *session) inputEnded(ctx context.Context, err error) error {
	var end *closing
	switch {
	case errors.As(err, &end):
		s.end = *end
		return nil
	case !errors.Is(err, io.EOF):
		return err
	case s.wait == 0:
		return s.settle(ctx)
	}
	timer := time.NewTimer(s.wait - time.Since(s.in.ended))
	defer timer.Stop()
	select {
	case <-s.over:
		s.lost = true
	case <-s.signals:
	case <-timer.C:
		if s.inside.Load() {
			return s.settle(ctx)
		}
	}
	return nil
}

// Write writes p to w for out, and records the progress.
func (s *session) Write(p []byte) (int, error) {
	s.busy.Store(true)
	n, err := s.w.Write(p)
	s.busy.Store(false)
	s.arrived()
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}

// arrived records activity of the connection or of the output, also in the middle of a message.
func (s *session) arrived() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// close closes the connection, with 1000 or the code that the user has chosen, unless it has already ended, and reports how it
// ended.
func (s *session) close() error {
	var unanswered error
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		unanswered = s.conn.Close(s.end.code, s.end.reason)
	}()
	select {
	case <-closed:
	case <-s.signals:
		s.conn.CloseNow()
		<-closed
		return errInterrupted
	}
	select {
	case <-s.over: // receiving has ended, and the last message was written
	case <-s.signals:
		return errInterrupted
	}
	return s.verdict(unanswered)
}

// verdict returns nil if the connection ended properly. unanswered is the error of the session's own Close.
func (s *session) verdict(unanswered error) error {
	var out *outputError
	if errors.As(s.why, &out) {
		if errors.Is(out.err, syscall.EPIPE) {
			return errQuiet // the reader of the output has closed the pipe
		}
		return out
	}
	var e *websocket.CloseError
	switch {
	case !errors.As(s.why, &e):
		return s.why
	case !e.ByPeer && e.Code == s.end.code:
		if unanswered != nil {
			s.tell("closed, but the server did not answer the close frame")
		} else {
			s.tell("closed with " + e.Code.String())
		}
		return nil
	case e.Clean():
		s.tell(closedByServer(e))
		return nil
	case e.Err == nil:
		return errors.New(closedByServer(e))
	case e.Code == websocket.CodeTooBig:
		return &hinted{fmt.Errorf("the connection was lost: %w", e.Err), "messages of more than 16 MiB require --binary"}
	}
	err := fmt.Errorf("the connection was lost: %w", e.Err)
	if _, ok := errors.AsType[*protocol.Violation](e.Err); ok {
		return &hinted{err, "the server violates the protocol; handfast explain shows its frames, and what to correct"}
	}
	return err
}

func closedByServer(e *websocket.CloseError) string {
	text := "the server closed with " + e.Code.String()
	if e.Code == websocket.CodeNoStatus {
		text = "the server closed without a code"
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

func (s *session) tell(text string) {
	if s.say != nil {
		s.say(visible.Text(text))
	}
}
