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

// errCutShort ends a connection whose server has sent a part of a message and then nothing more.
var errCutShort = errors.New("the server stopped in the middle of a message")

// output writes the message that r reads to w.
type output func(typ websocket.Type, r io.Reader, w io.Writer) error

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

	moved  chan struct{} // something has arrived, or was written to w
	inside atomic.Bool   // a message has begun and not ended
	busy   atomic.Bool   // w is being written to
	over   chan struct{} // closed when nothing will be received any more,
	why    error         // because of this
}

// run carries messages until either end has had enough.
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

// receive takes one message and writes it out.
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
// input, or with the wait for the server.
func (s *session) inputEnded(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errHangUp):
		return nil
	case !errors.Is(err, io.EOF):
		return err
	case s.wait == 0:
		return s.settle(ctx)
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	select {
	case <-s.over:
	case <-s.signals:
	case <-timer.C:
		if s.inside.Load() {
			return s.settle(ctx)
		}
	}
	return nil
}

// settle lets the answers come to what was sent. The library discards what arrives after the close frame went out, so
// they must be here before; and a server that answers in order answers a ping after all of them. The pong may come in
// the middle of a message (RFC 6455 §5.4), which is read to its end. A server that sends neither a pong nor anything
// else is not waited for; with a message cut short, that is an error.
func (s *session) settle(ctx context.Context) error {
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
	answered := pong // nil when the pong is here
	// Two halves, because the reader had no turn while the process waited for a processor, or the machine was suspended.
	for silent := false; ; {
		select {
		case <-answered:
			answered = nil
		case <-s.over:
			return nil
		case <-s.signals:
			return nil
		case <-s.moved:
			silent = false
			idle.Reset(quiet / 2)
		case <-idle.C:
			if silent && !s.busy.Load() { // else the reader of our output is slow
				if s.inside.Load() {
					return &hinted{fmt.Errorf("%w, and has sent nothing for %v", errCutShort, quiet),
						"a server that answers this slowly needs --wait"}
				}
				return nil
			}
			silent = true
			idle.Reset(quiet / 2)
		}
		if answered == nil && !s.inside.Load() {
			return nil
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
