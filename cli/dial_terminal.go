package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/term"

	"github.com/handfast/handfast/websocket"
)

// console is a person at a terminal: a prompt that stays below what arrives.
type console struct {
	in, out *os.File
	state   *term.State // the terminal's, from before
	editor  *term.Terminal
	resized func() // ends the watch over the terminal's size
	hangUp  atomic.Bool

	mu   sync.Mutex
	left bool
}

// openConsole takes the terminal over. leave must be called.
func openConsole(sys *System, in, out *os.File) (*console, error) {
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("take over the terminal: %w", err)
	}
	c := &console{in: in, out: out, state: state}
	prompt := newPaint(sys, out).bold("> ")
	c.editor = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{c, out}, prompt)
	c.resize()
	c.resized = onResize(c.resize)
	return c, nil
}

// resize tells the editor how wide the terminal is.
func (c *console) resize() {
	if width, height, err := term.GetSize(int(c.out.Fd())); err == nil && width > 0 {
		_ = c.editor.SetSize(width, height) // it fails when the terminal is gone, and so does all else then
	}
}

// Read gives the editor what the user types, and remembers Ctrl-C: the editor makes the same of it as of Ctrl-D.
func (c *console) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if bytes.IndexByte(p[:n], 3) >= 0 {
		c.hangUp.Store(true)
	}
	return n, err
}

// next is a line that the user typed.
func (c *console) next() (websocket.Message, error) {
	line, err := c.editor.ReadLine()
	switch {
	case err == nil, errors.Is(err, term.ErrPasteIndicator):
		return websocket.Message{Type: websocket.Text, Data: []byte(line)}, nil
	case !errors.Is(err, io.EOF):
		return websocket.Message{}, readError(err)
	case c.hangUp.Load():
		return websocket.Message{}, errHangUp
	}
	return websocket.Message{}, io.EOF
}

// Write shows text above the prompt.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		return c.out.Write(p)
	}
	return c.editor.Write(p)
}

// leave gives the terminal back as it was, without the prompt. From then on Ctrl-C makes a signal.
func (c *console) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		return
	}
	c.left = true
	c.resized()
	fmt.Fprint(c.out, "\r\x1b[K")
	_ = term.Restore(int(c.in.Fd()), c.state) // it fails when the terminal is gone
}

// format shows a message as one that came in.
func (c *console) format(p paint, asJSON bool) formatter {
	inner := newFormat(asJSON, true)
	return func(dst []byte, m websocket.Message) []byte {
		text := string(inner(nil, m))
		return append(dst, p.green("< "+text)...)
	}
}
