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

// maxWaiting is how many typed lines may wait until they are sent.
const maxWaiting = 16

// maxShown is how many characters of a line that was sent stay on the screen.
const maxShown = 2000

// console is a person at a terminal: a prompt that stays below what arrives. A typed line has one row, in which it scrolls.
type console struct {
	in, out *os.File
	state   *term.State // the terminal's, from before
	prompt  string
	asJSON  bool // a line is a message in JSON
	signals chan<- os.Signal
	lines   chan string // typed, and not taken yet
	failed  error       // why there are no more; valid when lines is closed
	unwatch func()      // ends the watch over the terminal's size

	mu     sync.Mutex
	editor editor
	width  int
	left   bool
}

// openConsole takes the terminal over. leave must be called. Ctrl-C becomes a signal.
func openConsole(sys *System, in, out *os.File, signals chan<- os.Signal, asJSON bool) (*console, error) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("take over the terminal: %w", err)
	}
	c := &console{
		in: in, out: out, state: state, prompt: newPaint(sys, out).bold("> "), asJSON: asJSON, signals: signals,
		lines: make(chan string, maxWaiting),
	}
	c.resize()
	c.unwatch = watchTerminal(c)
	go c.read()
	return c, nil
}

// resize notes how wide the terminal is.
func (c *console) resize() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.width = 80
	if width, _, err := term.GetSize(int(c.out.Fd())); err == nil && width > 0 {
		c.width = width
	}
	c.draw()
}

// draw shows the prompt and the line. c.mu is held.
func (c *console) draw() {
	if c.left {
		return
	}
	const prompt = 2 // columns
	text, cursor := c.editor.view(c.width - prompt - 1)
	fmt.Fprintf(c.out, "\r\x1b[K%s%s\r\x1b[%dC", c.prompt, text, prompt+cursor)
}

// print shows text above the prompt. c.mu is held.
func (c *console) print(text []byte) error {
	if c.left {
		_, err := c.out.Write(text)
		return err
	}
	b := append([]byte("\r\x1b[K"), bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))...)
	_, err := c.out.Write(b)
	c.draw()
	return err
}

// Write shows lines above the prompt.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.print(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// remark tells the user something about what was typed. c.mu is held.
func (c *console) remark(text string) {
	_ = c.print([]byte(visible.Text(text) + "\n")) // when the terminal is gone, reading from it fails as well
}

// read gives the editor what the user types, until the input or the terminal ends. Nothing interrupts it while it waits for a key.
func (c *console) read() {
	defer close(c.lines)
	buf := make([]byte, 32<<10)
	for {
		n, err := c.in.Read(buf)
		if n > 0 && !c.typed(buf[:n]) {
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

// typed obeys keys. It reports whether the input goes on.
func (c *console) typed(b []byte) bool {
	c.mu.Lock()
	if c.left {
		c.mu.Unlock()
		return false
	}
	suspended := false
	for _, e := range c.editor.feed(b) {
		switch e.key {
		case keyEnter:
			c.entered(e)
		case keyEnd:
			c.mu.Unlock()
			return false
		case keyInterrupt:
			select {
			case c.signals <- os.Interrupt:
			default: // there are more than enough
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

// entered takes a line. c.mu is held.
func (c *console) entered(e event) {
	shown := []rune(e.line)
	more := ""
	if len(shown) > maxShown {
		shown, more = shown[:maxShown], fmt.Sprintf(" ... (%d bytes)", len(e.line))
	}
	_ = c.print([]byte(c.prompt + visible.Text(string(shown)) + more + "\n")) // as in remark
	if e.over > 0 {
		c.remark(fmt.Sprintf("not sent: the line has %d bytes, and a typed one has at most %d; a pipe takes lines of 16 MiB",
			len(e.line)+e.over, maxTyped))
		return
	}
	select {
	case c.lines <- e.line:
	default:
		c.remark(fmt.Sprintf("not sent: %d lines are waiting to be sent already", maxWaiting))
	}
}

// next is what the user typed.
func (c *console) next() (websocket.Message, error) {
	for line := range c.lines {
		m, err := interpret(line, c.asJSON)
		var remark *errRemark
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

// leave gives the terminal back as it was, without the prompt. From then on Ctrl-C makes a signal.
func (c *console) leave() {
	c.mu.Lock()
	if c.left {
		c.mu.Unlock()
		return
	}
	c.left = true
	c.giveBack()
	c.mu.Unlock()
	c.unwatch()
}

// giveBack restores the terminal's settings. c.mu is held.
func (c *console) giveBack() {
	fmt.Fprint(c.out, "\r\x1b[K")
	_ = term.Restore(int(c.in.Fd()), c.state) // it fails when the terminal is gone
}

// stopped gives the terminal back while stop runs, which returns when the process goes on.
func (c *console) stopped(stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		stop()
		return
	}
	c.giveBack()
	stop()
	c.takeBack()
}

// continued takes the terminal over again: the process was stopped without a signal that it could see.
func (c *console) continued() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.left {
		c.takeBack()
	}
}

// takeBack takes the terminal over again. c.mu is held.
func (c *console) takeBack() {
	_, _ = term.MakeRaw(int(c.in.Fd())) // it fails when the terminal is gone
	c.draw()
}

// format shows a message as one that came in.
func (c *console) format(p paint, asJSON bool) formatter {
	inner := newFormat(asJSON, true)
	return func(dst []byte, m websocket.Message) []byte {
		text := string(inner(nil, m))
		var b strings.Builder
		for i, line := range strings.Split("< "+text, "\n") { // colours do not last beyond a line end everywhere
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(p.green(line))
		}
		return append(dst, b.String()...)
	}
}
