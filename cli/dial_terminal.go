package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket"
)

// maxPendingLines is the maximum number of typed lines that wait to be sent.
const maxPendingLines = 16

// maxShown is the maximum number of characters of a sent line that stay on the screen.
const maxShown = 2000

// console is the user interface on a terminal: a prompt below the received messages. The typed line scrolls horizontally in one row.
type console struct {
	in, out *os.File
	state   *term.State // the state of the terminal before openConsole
	prompt  string
	asJSON  bool // whether each typed line is a message in JSON
	signals chan<- os.Signal
	lines   chan string // typed lines that next has not returned yet
	failed  error       // the reason why there are no more lines; valid when lines is closed
	unwatch func()      // ends watching the terminal's size

	mu     sync.Mutex
	editor editor
	width  int
	closed bool
}

// openConsole takes over the terminal, until close is called. Ctrl-C sends os.Interrupt to signals.
func openConsole(sys *System, in, out *os.File, signals chan<- os.Signal, asJSON bool) (*console, error) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("take over the terminal: %w", err)
	}
	c := &console{
		in: in, out: out, state: state, prompt: newPaint(sys, out).bold("> "), asJSON: asJSON, signals: signals,
		lines: make(chan string, maxPendingLines),
	}
	c.resize()
	c.unwatch = watchTerminal(c)
	go c.read()
	return c, nil
}

// resize reads the width of the terminal.
func (c *console) resize() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.width = 80
	if width, _, err := term.GetSize(int(c.out.Fd())); err == nil && width > 0 {
		c.width = width
	}
	c.draw()
}

// draw draws the prompt and the line. The caller holds c.mu.
func (c *console) draw() {
	if c.closed {
		return
	}
	const prompt = 2 // the number of columns of the prompt
	text, cursor := c.editor.view(c.width - prompt - 1)
	fmt.Fprintf(c.out, "\r\x1b[K%s%s\r\x1b[%dC", c.prompt, text, prompt+cursor)
}

// print prints text above the prompt. The caller holds c.mu.
func (c *console) print(text []byte) error {
	if c.closed {
		_, err := c.out.Write(text)
		return err
	}
	b := append([]byte("\r\x1b[K"), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))...)
	_, err := c.out.Write(b)
	c.draw()
	return err
}

// Write prints lines above the prompt.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.print(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// remark shows the user a remark about the typed input. The caller holds c.mu.
func (c *console) remark(text string) {
	_ = c.print([]byte(visible.Text(text) + "\n")) // if the terminal is gone, reading fails, too
}

// read passes typed bytes to the editor until the input or the terminal ends. While read waits for a key, it cannot be interrupted.
func (c *console) read() {
	defer close(c.lines)
	buf := make([]byte, 32<<10)
	for {
		n, err := c.in.Read(buf)
		if n > 0 && !c.handleInput(buf[:n]) {
			return
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				c.failed = err
			}
			return
		}
	}
}

// handleInput processes typed bytes. It reports whether the input continues.
func (c *console) handleInput(b []byte) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	suspended := false
	for _, e := range c.editor.feed(b) {
		switch e.key {
		case keyEnter:
			c.enqueue(e)
		case keyEnd:
			c.mu.Unlock()
			return false
		case keyInterrupt:
			select {
			case c.signals <- os.Interrupt:
			default: // several signals are already pending
			}
		case keySuspend:
			suspended = true
		case keyClear:
			fmt.Fprint(c.out, "\x1b[H\x1b[2J")
		case keyBell:
			fmt.Fprint(c.out, "\a")
		}
	}
	c.draw()
	c.mu.Unlock()
	if suspended {
		suspendGroup()
	}
	return true
}

// enqueue adds a line to lines. The caller holds c.mu.
func (c *console) enqueue(e event) {
	shown := []rune(e.line)
	more := ""
	if len(shown) > maxShown {
		shown, more = shown[:maxShown], fmt.Sprintf(" ... (%d bytes)", len(e.line))
	}
	_ = c.print([]byte(c.prompt + visible.Text(string(shown)) + more + "\n")) // if the terminal is gone, reading fails, too
	if e.over > 0 {
		c.remark(fmt.Sprintf("not sent: the line has %d bytes, but a typed line may have at most %d; a line from a pipe may have 16 MiB",
			len(e.line)+e.over, maxTyped))
		return
	}
	select {
	case c.lines <- e.line:
	default:
		c.remark(fmt.Sprintf("not sent: %d lines are waiting to be sent already", maxPendingLines))
	}
}

// next returns the next typed line as a message.
func (c *console) next() (websocket.Message, error) {
	for line := range c.lines {
		m, err := interpret(line, c.asJSON)
		var remark *remarkError
		if !errors.As(err, &remark) {
			return m, err
		}
		c.mu.Lock()
		c.remark(remark.text)
		c.mu.Unlock()
	}
	if c.failed != nil {
		return websocket.Message{}, readError(c.failed)
	}
	return websocket.Message{}, io.EOF
}

// close restores the terminal, and removes the prompt. After that Ctrl-C raises a signal.
func (c *console) close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.restore()
	c.mu.Unlock()
	c.unwatch()
}

// restore restores the terminal's settings. The caller holds c.mu.
func (c *console) restore() {
	fmt.Fprint(c.out, "\r\x1b[K")
	_ = term.Restore(int(c.in.Fd()), c.state) // this fails if the terminal is gone
}

// suspend restores the terminal while stop runs, which returns when the process continues.
func (c *console) suspend(stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		stop()
		return
	}
	c.restore()
	stop()
	c.makeRaw()
}

// resume takes over the terminal again after the process was stopped by a signal that it could not handle.
func (c *console) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.makeRaw()
	}
}

// makeRaw takes over the terminal again. The caller holds c.mu.
func (c *console) makeRaw() {
	_, _ = term.MakeRaw(int(c.in.Fd())) // this fails if the terminal is gone
	c.draw()
}

// format returns the format for received messages.
func (c *console) format(p paint, asJSON bool) formatter {
	inner := newFormat(asJSON, true)
	return func(dst []byte, m websocket.Message) []byte {
		text := string(inner(nil, m))
		var b strings.Builder
		for i, line := range strings.Split("< "+text, "\n") { // on some terminals a color ends with the line
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(p.green(line))
		}
		return append(dst, b.String()...)
	}
}
