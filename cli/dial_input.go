package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket"
)

// feed passes an input to successive sessions. It keeps a message until a session has sent it, so that the next session can send a message
// that could not be written.
type feed struct {
	items    chan item
	consumed chan struct{} // signaled when a session has finished the last item
	quit     chan struct{}
	current  *item     // the item that take returns until done is called; nil if none
	ended    time.Time // the time when the input returned io.EOF; zero before that
}

// item is an item of an input.
type item struct {
	m   websocket.Message
	err error
}

// newFeed reads the input on a goroutine. A read from standard input cannot be interrupted, so the goroutine may remain until the
// process ends.
func newFeed(in input) *feed {
	f := &feed{items: make(chan item), consumed: make(chan struct{}), quit: make(chan struct{})}
	go func() {
		for {
			m, err := in.next()
			select {
			case f.items <- item{m, err}:
			case <-f.quit:
				return
			}
			if err != nil && !errors.Is(err, errPing) {
				return
			}
			select {
			case <-f.consumed:
			case <-f.quit:
				return
			}
		}
	}()
	return f
}

func (f *feed) stop() { close(f.quit) }

// take returns the next message, or the error of the input, or errBroken if ctx ends first. It returns the same item until done is
// called.
func (f *feed) take(ctx context.Context) (websocket.Message, error) {
	if f.current == nil {
		select {
		case it := <-f.items:
			f.setCurrent(it)
		case <-ctx.Done():
			return websocket.Message{}, errBroken
		}
	}
	return f.current.m, f.current.err
}

// setCurrent stores an item from items, so that take returns it.
func (f *feed) setCurrent(it item) {
	f.current = &it
	if errors.Is(it.err, io.EOF) {
		f.ended = time.Now()
	}
}

// done makes take return the next item.
func (f *feed) done() {
	f.current = nil
	f.consumed <- struct{}{}
}

// canonicalLineMax returns the maximum number of bytes of a line that a terminal passes on. The terminal silently drops the rest. 0 means
// unknown.
func canonicalLineMax() int {
	switch runtime.GOOS {
	case "windows":
		return 0
	case "linux":
		return 4095 // N_TTY_BUF_SIZE - 1
	}
	return 1023 // MAX_CANON of the BSDs is 1024
}

// lines is an input that returns a text message for each line, or for each record that ends with another byte.
type lines struct {
	r       *bufio.Reader
	end     byte
	maxLine int // the maximum number of bytes that the terminal passes on; 0 if this is not a terminal
	line    []byte
	n       int // the number of lines read
}

func newLines(r io.Reader) *lines { return newRecords(r, '\n') }

// newRecords returns an input of records that end with the byte end.
func newRecords(r io.Reader, end byte) *lines {
	l := &lines{r: bufio.NewReaderSize(r, 64<<10), end: end}
	if terminal(r) != nil {
		l.maxLine = canonicalLineMax()
	}
	return l
}

// truncatedByTerminal returns the error for a line of n bytes that the terminal has probably cut, because it is as long as the terminal
// allows.
func truncatedByTerminal(n int) error {
	return &hinted{fmt.Errorf("the line has %d bytes or more, but the terminal delivers only %d: the rest is lost", n, n),
		"send the line from a file or a pipe, or do not redirect standard output: a typed line may then have 1 MiB"}
}

// next returns the next line without the line end. The last line may lack a line end.
func (l *lines) next() (websocket.Message, error) {
	l.line = l.line[:0]
	l.n++
	for {
		part, err := l.r.ReadSlice(l.end)
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
	if n := len(data); n > 0 && data[n-1] == l.end {
		data = data[:n-1]
		if l.end == '\n' && n > 1 && data[n-2] == '\r' {
			data = data[:n-2]
		}
	}
	const hint = "to send the input as binary messages, use --binary"
	switch {
	case l.maxLine > 0 && len(data) >= l.maxLine:
		return websocket.Message{}, truncatedByTerminal(l.maxLine)
	case len(data) > maxLine:
		return websocket.Message{}, &hinted{fmt.Errorf("line %d of standard input has more than 16 MiB", l.n), hint}
	case !utf8.Valid(data):
		return websocket.Message{}, &hinted{fmt.Errorf("line %d of standard input is not UTF-8", l.n), hint}
	}
	return websocket.Message{Type: websocket.Text, Data: data}, nil
}

// jsonLines is an input of lines in the format of formatJSON.
type jsonLines struct{ *lines }

func (j *jsonLines) next() (websocket.Message, error) {
	m, err := j.lines.next()
	if err != nil {
		return m, err
	}
	if m, err = parseMessage(m.Data); err != nil {
		return m, &hinted{fmt.Errorf("line %d of standard input %w", j.n, err), jsonForms}
	}
	return m, nil
}

const jsonForms = `write {"type":"text","data":"hello"}, or {"type":"binary","data":"aGVsbG8="} with base64`

// parseMessage is the inverse of formatJSON. The texts of its errors continue a sentence that begins with "line N".
func parseMessage(line []byte) (websocket.Message, error) {
	var v struct {
		Type string  `json:"type"`
		Data *string `json:"data"`
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return websocket.Message{}, errors.New("is not a JSON message")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return websocket.Message{}, errors.New("has data after its JSON message")
	}
	switch {
	case v.Data == nil:
		return websocket.Message{}, errors.New("has no data")
	case v.Type == websocket.Text.String():
		return websocket.Message{Type: websocket.Text, Data: []byte(*v.Data)}, nil
	case v.Type == websocket.Binary.String():
		b, err := base64.StdEncoding.DecodeString(*v.Data)
		if err != nil {
			return websocket.Message{}, errors.New("has data that is not base64")
		}
		return websocket.Message{Type: websocket.Binary, Data: b}, nil
	}
	return websocket.Message{}, errors.New("has a type other than text and binary")
}

// chunks is an input that returns the data of each read as a binary message.
type chunks struct {
	r       io.Reader
	maxLine int // the maximum number of bytes that the terminal passes on; 0 if this is not a terminal
	buf     [32 << 10]byte
}

func newChunks(r io.Reader) *chunks {
	c := &chunks{r: r}
	if terminal(r) != nil {
		c.maxLine = canonicalLineMax()
	}
	return c
}

func (c *chunks) next() (websocket.Message, error) {
	for {
		n, err := c.r.Read(c.buf[:])
		if c.maxLine > 0 && n > c.maxLine {
			return websocket.Message{}, truncatedByTerminal(c.maxLine)
		}
		if n > 0 {
			return websocket.Message{Type: websocket.Binary, Data: c.buf[:n]}, nil
		}
		if err != nil {
			return websocket.Message{}, readError(err)
		}
	}
}

// readError wraps an error of the input, except for io.EOF.
func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fmt.Errorf("read standard input: %w", err)
}
