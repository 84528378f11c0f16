package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket"
)

// lines is an input that makes a text message of every line.
type lines struct {
	r    *bufio.Reader
	line []byte
	n    int // the number of lines so far
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, 64<<10)} }

// next returns the next line without its end. The last one need not have an end.
func (l *lines) next() (websocket.Message, error) {
	l.line = l.line[:0]
	l.n++
	for {
		part, err := l.r.ReadSlice('\n')
		l.line = append(l.line, part...)
		if err == nil || (errors.Is(err, io.EOF) && len(l.line) > 0) {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return websocket.Message{}, readError(err)
		}
		if len(l.line) > maxLine+2 {
			break
		}
	}
	data := l.line
	if n := len(data); n > 0 && data[n-1] == '\n' {
		data = data[:n-1]
		if n > 1 && data[n-2] == '\r' {
			data = data[:n-2]
		}
	}
	switch {
	case len(data) > maxLine:
		return websocket.Message{}, &hinted{fmt.Errorf("line %d of standard input has more than 16 MiB", l.n),
			"send it as binary messages with --binary"}
	case !utf8.Valid(data):
		return websocket.Message{}, &hinted{fmt.Errorf("line %d of standard input is not UTF-8", l.n),
			"send it as binary messages with --binary"}
	}
	return websocket.Message{Type: websocket.Text, Data: data}, nil
}

// chunks is an input that makes a binary message of whatever is there to be read.
type chunks struct {
	r   io.Reader
	buf [32 << 10]byte
}

func (c *chunks) next() (websocket.Message, error) {
	for {
		n, err := c.r.Read(c.buf[:])
		if n > 0 {
			return websocket.Message{Type: websocket.Binary, Data: c.buf[:n]}, nil
		}
		if err != nil {
			return websocket.Message{}, readError(err)
		}
	}
}

// readError leaves the end of the input what it is.
func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("read standard input: %w", err)
}

// rawOutput writes payloads as they are, while they arrive.
func rawOutput() output {
	buf := make([]byte, 32<<10)
	return func(_ websocket.Type, r io.Reader, w io.Writer) error {
		_, err := io.CopyBuffer(w, r, buf)
		return err
	}
}

// lineOutput writes every message as a line, in one piece.
func lineOutput(format formatter) output {
	var data bytes.Buffer
	var line []byte
	return func(typ websocket.Type, r io.Reader, w io.Writer) error {
		data.Reset()
		if _, err := data.ReadFrom(r); err != nil {
			return err
		}
		line = append(format(line[:0], websocket.Message{Type: typ, Data: data.Bytes()}), '\n')
		_, err := w.Write(line)
		return err
	}
}

// noted is a reader that notes whatever it has read.
type noted struct {
	r       io.Reader
	arrived func()
}

func (n *noted) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	n.arrived()
	return k, err
}

// formatter appends a message to dst the way it is shown.
type formatter func(dst []byte, m websocket.Message) []byte

// newFormat picks how messages are shown: to a program as they are, to a person without what would steer the terminal.
func newFormat(asJSON, person bool) formatter {
	switch {
	case asJSON:
		return formatJSON
	case person:
		return formatPerson
	}
	return func(dst []byte, m websocket.Message) []byte { return append(dst, m.Data...) }
}

// formatJSON is for programs that must know where a message ends, and of what type it is.
func formatJSON(dst []byte, m websocket.Message) []byte {
	v := struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}{m.Type.String(), m.Data} // bytes become base64
	if m.Type == websocket.Text {
		v.Data = string(m.Data)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // a string and bytes can always be marshalled
	}
	return append(dst, b...)
}

// hexShown is how much of a binary message a person gets to see.
const hexShown = 64

func formatPerson(dst []byte, m websocket.Message) []byte {
	if m.Type == websocket.Text {
		return append(dst, visible.Text(string(m.Data))...)
	}
	dst = fmt.Appendf(dst, "(%d bytes) % x", len(m.Data), m.Data[:min(len(m.Data), hexShown)])
	if len(m.Data) > hexShown {
		dst = append(dst, " …"...)
	}
	return dst
}
