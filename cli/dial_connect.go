package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
	"github.com/handfast/handfast/websocket/reconnect"
)

// dialRun is one run of dial.
type dialRun struct {
	sys        *System
	f          *dialFlags
	raw        string // the URL to dial
	displayURL string // the URL without possible secrets
	opts       *websocket.DialOptions
	notes      io.Writer        // the destination of output other than messages
	signals    <-chan os.Signal // the signals of the process, and Ctrl-C on a console, where it does not raise a signal

	in      *feed
	out     output
	w       io.Writer
	console *console // nil without a terminal
	paint   paint
}

// dial opens a connection, transfers messages and closes it.
func dial(ctx context.Context, sys *System, f *dialFlags, raw string) error {
	shown, err := checkURL(raw)
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	d := &dialRun{sys: sys, f: f, displayURL: shown, notes: sys.Stderr, signals: sys.Signals}
	if d.opts, err = f.options(sys); err != nil {
		return err
	}
	if err := useProxy(sys, f.proxy, d.opts); err != nil {
		return err
	}
	var secrets []string
	if d.raw, secrets, err = f.credentials.apply(sys, raw, d.opts); err != nil {
		return err
	}
	d.opts.HandshakeTimeout = f.timeout
	if f.talk.verbose {
		d.opts.Trace = traceTo(noteWriter{d}, secrets)
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return d.failed(err)
	}
	defer conn.CloseNow()
	stop, err := d.open(conn)
	if err != nil {
		return err
	}
	defer stop()
	if f.talk.reconnect {
		return d.runSessions(ctx, conn)
	}
	return d.session(conn).run(ctx)
}

// noteWriter writes to the notes of a dialRun, which may change while it runs.
type noteWriter struct{ d *dialRun }

func (w noteWriter) Write(p []byte) (int, error) { return w.d.notes.Write(p) }

// note shows the user a line that is not a message.
func (d *dialRun) note(text string) {
	if d.console != nil && d.notes == io.Writer(d.console) {
		fmt.Fprintln(d.console, d.paint.dim(visible.Text(text)))
		return
	}
	fmt.Fprintln(d.notes, "handfast: "+visible.Text(text))
}

// connectNoteDelay is how long connecting may take before a note is shown on a terminal.
const connectNoteDelay = time.Second

// connect calls websocket.Dial until a signal arrives. If standard error is a terminal and connecting takes long, it shows a note.
func (d *dialRun) connect(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		var late <-chan time.Time
		if terminal(d.sys.Stderr) != nil {
			timer := time.NewTimer(connectNoteDelay)
			defer timer.Stop()
			late = timer.C
		}
		for {
			select {
			case <-d.signals:
				cancel(errInterrupted)
				return
			case <-late:
				d.note("connecting to " + d.displayURL + " ...")
			case <-done:
				return
			}
		}
	}()
	conn, err := websocket.Dial(ctx, d.raw, d.opts)
	close(done)
	<-watched
	if errors.Is(context.Cause(ctx), errInterrupted) {
		if err == nil { // the signal arrived after the end of the handshake
			_ = conn.Close(websocket.CodeNormal, "") // this fails if the server does not reply, which does not matter
		}
		return nil, errInterrupted
	}
	return conn, err
}

// open creates the input and the output for messages. The caller must call stop.
func (d *dialRun) open(conn *websocket.Conn) (stop func(), _ error) {
	sys, f := d.sys, d.f
	in, out := terminal(sys.Stdin), terminal(sys.Stdout)
	end, person := byte('\n'), out != nil
	if f.talk.null && out == nil {
		end = 0
	}
	asJSON := f.json || f.talk.jsonl
	d.w = sys.Stdout
	switch {
	case f.binary:
		d.in, d.out = newFeed(newChunks(sys.Stdin)), rawOutput()
	case in != nil && out != nil && !f.talk.null && sys.Getenv("TERM") != "dumb":
		signals, unmerge := merge(sys.Signals)
		c, err := openConsole(sys, in, out, signals, f.talk.jsonl)
		if err != nil {
			unmerge()
			return nil, err
		}
		d.console, d.signals, d.paint = c, signals, newPaint(sys, out)
		d.in, d.w, d.out = newFeed(c), c, lineOutput(c.format(d.paint, asJSON), '\n')
		if terminal(sys.Stderr) != nil {
			d.notes = c
		}
		fmt.Fprintln(c, d.paint.dim(visible.Text("connected to "+describeConn(d.displayURL, conn.Handshake())+"; Ctrl-D closes, /help lists commands")))
		return func() { d.in.stop(); c.close(); unmerge() }, nil
	case f.talk.null:
		d.in, d.out = newFeed(newRecords(sys.Stdin, 0)), lineOutput(newFormat(false, person), end)
	case f.talk.jsonl:
		d.in, d.out = newFeed(&jsonLines{newLines(sys.Stdin)}), lineOutput(newFormat(true, person), end)
	default:
		d.in, d.out = newFeed(newLines(sys.Stdin)), lineOutput(newFormat(asJSON, person), end)
	}
	return d.in.stop, nil
}

// merge returns a channel that receives the signals of from, and to which other senders can add signals.
func merge(from <-chan os.Signal) (_ chan os.Signal, stop func()) {
	to := make(chan os.Signal, 4)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case s := <-from:
				select {
				case to <- s:
				default: // several signals are already pending
				}
			case <-done:
				return
			}
		}
	}()
	return to, func() { close(done); <-ended }
}

// session returns a session for a connection.
func (d *dialRun) session(conn *websocket.Conn) *session {
	s := &session{conn: conn, in: d.in, out: d.out, w: d.w, wait: d.f.talk.wait, signals: d.signals}
	if c := d.console; c != nil {
		s.restore, s.reconnects = c.close, d.f.talk.reconnect
		s.print = func(text string) { fmt.Fprintln(c, d.paint.dim(text)) }
	}
	return s
}

// runSessions transfers messages over successive connections, until the user, the server or an error stops it.
func (d *dialRun) runSessions(ctx context.Context, first *websocket.Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var last error    // the error of the last session
	finished := false // whether the work is complete
	unwatch := func() {}
	connect := func(ctx context.Context) (*websocket.Conn, error) {
		conn := first
		if first = nil; conn != nil {
			return conn, nil
		}
		conn, err := d.connect(ctx)
		unwatch()
		unwatch = func() {}
		switch {
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			_ = conn.Close(websocket.CodeNormal, "") // this fails if the server does not reply, which does not matter
			return nil, context.Cause(ctx)
		}
		d.note("reconnected")
		return conn, nil
	}
	err := reconnect.Run(ctx, connect, func(ctx context.Context, conn *websocket.Conn) error {
		s := d.session(conn)
		last = s.run(ctx)
		if finished = !s.lost; finished {
			return last
		}
		return s.cause
	}, &reconnect.Options{
		Verdict: func(f reconnect.Failure) reconnect.Verdict {
			if finished || errors.Is(f.Err, errInterrupted) {
				return reconnect.Stop
			}
			return reconnect.Default
		},
		OnRetry: func(f reconnect.Failure, delay time.Duration) {
			why := last
			if f.Dialing {
				why = d.failed(f.Err)
			}
			text := "the server has closed the connection"
			if why != nil {
				text = why.Error()
			}
			d.note(text + "; reconnecting in " + delay.Round(time.Millisecond).String())
			unwatch()
			unwatch = d.watch(cancel)
		},
	})
	unwatch()
	var failed *websocket.HandshakeError
	var input *inputError
	switch cause := context.Cause(ctx); {
	case finished:
		return last
	case errors.Is(cause, errInterrupted), errors.Is(err, errInterrupted):
		return errInterrupted
	case errors.As(cause, &input):
		return input.result(last)
	case errors.As(err, &failed):
		return d.failed(failed)
	}
	return last
}

// watch calls cancel when the next signal arrives, or when the time of --wait has passed after the end of the input. stop ends the watch.
func (d *dialRun) watch(cancel context.CancelCauseFunc) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		var finished <-chan time.Time
		for {
			items := d.in.items
			if d.in.current != nil {
				items = nil
				if err := d.in.current.err; err != nil && !errors.Is(err, errPing) {
					if d.console != nil {
						d.console.close() // restores the terminal, so that Ctrl-C raises a signal
					}
					finished = time.After(d.remaining(err))
				}
			}
			select {
			case <-d.signals:
				cancel(errInterrupted)
				return
			case it := <-items:
				d.in.setCurrent(it)
			case <-finished:
				d.note("the input has ended; not reconnecting")
				cancel(&inputError{d.in.current.err})
				return
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}

// remaining returns how long to try to reconnect after the input has ended with err.
func (d *dialRun) remaining(err error) time.Duration {
	if errors.Is(err, io.EOF) {
		return d.f.talk.wait - time.Since(d.in.ended)
	}
	return 0
}

// inputError ends the wait for the next connection after the input has ended with err.
type inputError struct{ err error }

func (e *inputError) Error() string { return "the input has ended: " + e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// result returns the result of dial; last is the result of the last connection.
func (e *inputError) result(last error) error {
	var end *closeRequest
	if errors.Is(e.err, io.EOF) || errors.As(e.err, &end) {
		return last
	}
	return e.err
}

// failed returns the error of a failed connection.
func (d *dialRun) failed(err error) error {
	s := sentInfoOf(d.raw, d.opts)
	s.flags = true
	return dialError(d.displayURL, err, s)
}

// dialError returns the error of a failed connection. It replaces the library's hints about options with hints about flags.
func dialError(shown string, err error, sent *sentInfo) error {
	if errors.Is(err, errInterrupted) {
		return errInterrupted
	}
	var e *websocket.HandshakeError
	if !errors.As(err, &e) || e.Err == nil {
		return fmt.Errorf("no WebSocket at %s: %w", shown, err)
	}
	if socks, ok := errors.AsType[*socksError](err); ok {
		e = &websocket.HandshakeError{Stage: handshake.StageProxy, Err: socks, Redirected: e.Redirected,
			Hint: "check the proxy of --proxy, its user and password, and that it can reach the server"}
	}
	return &handshakeFailure{shown, e, sent}
}

// handshakeFailure is a HandshakeError whose details are printed on separate lines.
type handshakeFailure struct {
	displayURL string
	err        *websocket.HandshakeError
	sent       *sentInfo
}

func (e *handshakeFailure) Error() string {
	where := e.displayURL
	if e.err.Redirected != "" {
		where = e.err.Redirected + ", to which " + e.displayURL + " redirects"
	}
	return "no WebSocket at " + where + ": " + strings.TrimPrefix(e.err.Err.Error(), "websocket: ")
}
func (e *handshakeFailure) Unwrap() error { return e.err }
func (e *handshakeFailure) NextStep() string {
	return strings.TrimPrefix(strings.TrimSuffix(handshakeStep(e.err, e.sent), ";")+"; handfast explain shows each step of the handshake", "; ")
}
