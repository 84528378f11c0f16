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

// closeRequest is the error that an input returns when the user requests to close the connection without waiting for replies.
type closeRequest struct {
	code   websocket.Code
	reason string
}

func (c *closeRequest) Error() string { return "close with " + c.code.String() }

// output writes the message that r reads to w.
type output func(typ websocket.Type, r io.Reader, w io.Writer) error

// outputError is an error of writing to standard output.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write to standard output: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// session transfers messages between a connection and the user. run must be called once.
type session struct {
	conn       *websocket.Conn
	in         *feed
	out        output
	w          io.Writer        // the destination of out
	print      func(string)     // shows the user a line that is not a message; nil means that only errors are shown
	restore    func()           // called at the end of the input to restore the terminal, so that Ctrl-C raises a signal; may be nil
	wait       time.Duration    // how long to read after the end of the input; 0 means until the server is quiet
	reconnects bool             // whether another session with the same terminal follows if the connection is lost
	signals    <-chan os.Signal // the first signal closes the connection, the second one cuts it

	activity  chan struct{} // signaled when something was received, or was written to w
	receiving atomic.Bool   // whether a message is being received
	writing   atomic.Bool   // whether w is being written to
	done      chan struct{} // closed when no more messages will be received
	cause     error         // the reason why done is closed
	end       closeRequest  // the code and reason to close with
	lost      bool          // whether the server or the network ended the connection before the work was complete
	pings     sync.WaitGroup
}

// run transfers messages until either side ends the session.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.activity, s.done = make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(s.done)
		for s.cause == nil {
			s.cause = s.receive(ctx)
		}
	}()
	sent := make(chan error, 1)
	go func() { sent <- s.send(ctx) }()

	s.end.code = websocket.CodeNormal
	var failed error
	select {
	case <-s.done:
		s.lost = true
	case <-s.signals:
	case err := <-sent:
		sent <- nil
		if !errors.Is(err, errBroken) {
			s.restoreTerminal()
			failed = s.inputEnded(ctx, err)
		} else {
			s.lost = true
		}
	}
	if !s.lost || !s.reconnects {
		s.restoreTerminal()
	}
	err := errors.Join(failed, s.close())
	cancel()
	<-sent
	s.pings.Wait()
	var e *websocket.CloseError
	s.lost = s.lost && errors.As(s.cause, &e)
	return err
}

// receive receives one message and writes it.
func (s *session) receive(ctx context.Context) error {
	typ, r, err := s.conn.Reader(ctx)
	if err != nil {
		return err
	}
	s.receiving.Store(true)
	err = s.out(typ, &notifyingReader{r, s.recordActivity}, s)
	s.receiving.Store(false)
	s.recordActivity()
	return err
}

// restoreTerminal calls restore, if there is one, to restore the terminal.
func (s *session) restoreTerminal() {
	if s.restore != nil {
		s.restore()
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
			<-s.done // waits until the reader has stored the reason
			return errBroken
		}
		s.in.done()
	}
}

// pingTimeout is how long /ping waits for the pong.
const pingTimeout = 10 * time.Second

// ping pings the server, and reports the round-trip time.
func (s *session) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	took, err := s.conn.Ping(ctx)
	switch {
	case err == nil:
		s.note("pong after " + took.Round(time.Microsecond).String())
	case errors.Is(err, context.DeadlineExceeded):
		s.note("no pong within " + pingTimeout.String())
	}
}

// inputEnded waits for replies after the end of the input, if necessary. It returns the error of the input, or of the wait.
func (s *session) inputEnded(ctx context.Context, err error) error {
	var end *closeRequest
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
	case <-s.done:
		s.lost = true
	case <-s.signals:
	case <-timer.C:
		if s.receiving.Load() {
			return s.settle(ctx)
		}
	}
	return nil
}

// Write writes p to w for out, and records the progress.
func (s *session) Write(p []byte) (int, error) {
	s.writing.Store(true)
	n, err := s.w.Write(p)
	s.writing.Store(false)
	s.recordActivity()
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}

// recordActivity records activity of the connection or of the output, also in the middle of a message.
func (s *session) recordActivity() {
	select {
	case s.activity <- struct{}{}:
	default:
	}
}

// close closes the connection, with 1000 or the code that the user has chosen, unless it has already ended, and reports how it
// ended.
func (s *session) close() error {
	var closeErr error
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closeErr = s.conn.Close(s.end.code, s.end.reason)
	}()
	select {
	case <-closed:
	case <-s.signals:
		s.conn.CloseNow()
		<-closed
		return errInterrupted
	}
	select {
	case <-s.done: // receiving has ended, and the last message was written
	case <-s.signals:
		return errInterrupted
	}
	return s.result(closeErr)
}

// result returns nil if the connection ended properly. closeErr is the error of the session's own Close.
func (s *session) result(closeErr error) error {
	var out *outputError
	if errors.As(s.cause, &out) {
		if errors.Is(out.err, syscall.EPIPE) {
			return errReported // the reader of the output has closed the pipe
		}
		return out
	}
	var e *websocket.CloseError
	switch {
	case !errors.As(s.cause, &e):
		return s.cause
	case !e.ByPeer && e.Code == s.end.code:
		if closeErr != nil {
			s.note("closed, but the server did not answer the close frame")
		} else {
			s.note("closed with " + e.Code.String())
		}
		return nil
	case e.Clean():
		s.note(closedByServer(e))
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

func (s *session) note(text string) {
	if s.print != nil {
		s.print(visible.Text(text))
	}
}
