package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket"
)

// quiet is how long a server may send nothing, after the end of the input, before the wait for its pong is given up.
const quiet = 5 * time.Second

// input gives what to send, message by message, and io.EOF at its end. The data is good until the next call.
type input interface {
	next() (websocket.Message, error)
}

// errHangUp is an input's end by a user who does not want to wait for anything.
var errHangUp = errors.New("hung up")

// output reads one message from a connection and writes it to w. It calls arrived for each part that it has read and not written.
type output func(ctx context.Context, c *websocket.Conn, w io.Writer, arrived func()) error

// outputError says that standard output takes no more.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write to standard output: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// session carries messages between a connection and the user. run is called once.
type session struct {
	conn    *websocket.Conn
	in      input
	out     output
	w       io.Writer        // where out writes
	say     func(string)     // tells the user something that is no message; nil: nothing but errors
	leave   func()           // at the end of the input: gives the terminal back, so that Ctrl-C makes a signal; may be nil
	wait    time.Duration    // to go on reading after the end of the input
	signals <-chan os.Signal // the first one closes, the second cuts

	moved chan struct{} // something has arrived, or was written to w
	busy  atomic.Bool   // w is being written to
	over  chan struct{} // closed when nothing will be received any more,
	why   error         // because of this
}

// run carries messages until either end has had enough.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.moved, s.over = make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(s.over)
		for s.why == nil {
			s.why = s.out(ctx, s.conn, s, s.arrived)
		}
	}()
	sent := make(chan error, 1)
	// Nothing interrupts a read from standard input: this goroutine may stay behind, until the process ends.
	go func() { sent <- s.send(ctx) }()

	var failed error
	select {
	case <-s.over:
	case <-s.signals:
	case err := <-sent:
		s.left()
		failed = s.inputEnded(ctx, err)
	}
	s.left()
	return errors.Join(failed, s.close())
}

// left gives the terminal back.
func (s *session) left() {
	if s.leave != nil {
		s.leave()
	}
}

// send sends the input. It returns io.EOF at its end.
func (s *session) send(ctx context.Context) error {
	for {
		m, err := s.in.next()
		if err != nil {
			return err
		}
		if s.conn.Write(ctx, m) != nil {
			<-s.over // the connection broke: the reader knows best how
			return io.EOF
		}
	}
}

// inputEnded sees to what shall happen between the end of the input and the close. It returns what was wrong with the
// input.
func (s *session) inputEnded(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errHangUp):
		return nil
	case !errors.Is(err, io.EOF):
		return err
	case s.wait == 0:
		s.settle(ctx)
		return nil
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case <-s.over:
	case <-s.signals:
	case <-timer.C:
	}
	return nil
}

// settle lets the answers come to what was sent. The library discards what arrives after the close frame went out, so
// they must be here before; and a server that answers in order answers a ping after all of them. A server that sends
// neither a pong nor anything else is not waited for.
func (s *session) settle(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	pong := make(chan struct{})
	go func() {
		defer close(pong)
		_, _ = s.conn.Ping(ctx) // what an error would tell, the reader finds out
	}()
	defer func() {
		cancel()
		<-pong
	}()
	idle := time.NewTimer(quiet / 2)
	defer idle.Stop()
	// Two halves, because the reader had no turn while the process waited for a processor, or the machine was suspended.
	for silent := false; ; {
		select {
		case <-pong:
			return
		case <-s.over:
			return
		case <-s.signals:
			return
		case <-s.moved:
			silent = false
			idle.Reset(quiet / 2)
		case <-idle.C:
			if silent && !s.busy.Load() { // else the reader of our output is slow
				return
			}
			silent = true
			idle.Reset(quiet / 2)
		}
	}
}

// Write is the writer that out gets: it keeps account of how the writing goes.
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

// arrived notes that the server is not silent, also in the middle of a message.
func (s *session) arrived() {
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// close closes the connection with 1000, unless it has ended already, and tells how it ended.
func (s *session) close() error {
	var unanswered error
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		unanswered = s.conn.Close(websocket.CodeNormal, "")
	}()
	select {
	case <-closed:
	case <-s.signals:
		s.conn.CloseNow()
		<-closed
		return errInterrupted
	}
	select {
	case <-s.over: // the last message is written
	case <-s.signals:
		return errInterrupted
	}
	return s.verdict(unanswered)
}

// verdict says whether the end was a good one. unanswered is what came of our own close.
func (s *session) verdict(unanswered error) error {
	var out *outputError
	if errors.As(s.why, &out) {
		if errors.Is(out.err, syscall.EPIPE) {
			return errQuiet // the reader of our output has closed it
		}
		return out
	}
	var e *websocket.CloseError
	switch {
	case !errors.As(s.why, &e):
		return s.why
	case !e.ByPeer && e.Code == websocket.CodeNormal:
		if unanswered != nil {
			s.tell("closed, but the server did not answer the close")
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
		return &hinted{fmt.Errorf("the connection is over: %w", e.Err), "messages of more than 16 MiB need --binary"}
	}
	return fmt.Errorf("the connection is over: %w", e.Err)
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
