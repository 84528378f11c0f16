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

// feed hands an input to one session after the other. A message stays until a session is done with it, so that the next one can
// send what could not be written.
type feed struct {
	items chan item
	back  chan struct{} // a session is done with the last item
	quit  chan struct{}
	held  *item     // what take returns again
	ended time.Time // when take has returned io.EOF first
}

// item is what an input gives.
type item struct {
	m   websocket.Message
	err error
}

// newFeed reads the input on a goroutine that nothing interrupts while it waits for standard input: it may stay behind, until the
// process ends.
func newFeed(in input) *feed {
	f := &feed{items: make(chan item), back: make(chan struct{}), quit: make(chan struct{})}
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
			case <-f.back:
			case <-f.quit:
				return
			}
		}
	}()
	return f
}

func (f *feed) stop() { close(f.quit) }

// take returns the next message, or the error of the input, and errBroken when ctx ends first. It returns the same until done is called.
func (f *feed) take(ctx context.Context) (websocket.Message, error) {
	if f.held == nil {
		select {
		case it := <-f.items:
			f.held = &it
		case <-ctx.Done():
			return websocket.Message{}, errBroken
		}
	}
	if errors.Is(f.held.err, io.EOF) && f.ended.IsZero() {
		f.ended = time.Now()
	}
	return f.held.m, f.held.err
}

// done has take return the next item.
func (f *feed) done() {
	f.held = nil
	f.back <- struct{}{}
}

// canonical is how many bytes of a line a terminal passes on at most; it drops the rest without a word. 0 if it is not known.
func canonical() int {
	switch runtime.GOOS {
	case "windows":
		return 0
	case "linux":
		return 4095 // N_TTY_BUF_SIZE - 1
	}
	return 1023 // MAX_CANON of the BSDs is 1024
}

// lines is an input that makes a text message of every line, or of what another byte ends.
type lines struct {
	r    *bufio.Reader
	end  byte
	most int // a terminal passes on no more of a line; 0: this is not a terminal
	line []byte
	n    int // the number of lines so far
}

func newLines(r io.Reader) *lines { return newRecords(r, '\n') }

// newRecords returns an input of what end ends.
func newRecords(r io.Reader, end byte) *lines {
	l := &lines{r: bufio.NewReaderSize(r, 64<<10), end: end}
	if terminal(r) != nil {
		l.most = canonical()
	}
	return l
}

// cutByTerminal is the error for a line that has as many bytes as a terminal passes on.
func cutByTerminal(n int) error {
	return &hinted{fmt.Errorf("the line has %d bytes or more, and the terminal passes on %d: the rest is lost", n, n),
		"send it from a file or a pipe, or leave standard output on the terminal: then lines may have 1 MiB"}
}

// next returns the next line without its end. The last one need not have an end.
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
	const hint = "send it as binary messages with --binary"
	switch {
	case l.most > 0 && len(data) >= l.most:
		return websocket.Message{}, cutByTerminal(l.most)
	case len(data) > maxLine:
		return websocket.Message{}, &hinted{fmt.Errorf("line %d of standard input has more than 16 MiB", l.n), hint}
	case !utf8.Valid(data):
		return websocket.Message{}, &hinted{fmt.Errorf("line %d of standard input is not UTF-8", l.n), hint}
	}
	return websocket.Message{Type: websocket.Text, Data: data}, nil
}

// jsonLines is an input of lines that formatJSON could have written.
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

// parseMessage is the reverse of formatJSON. Its errors go on behind the name of the line.
func parseMessage(line []byte) (websocket.Message, error) {
	var v struct {
		Type string  `json:"type"`
		Data *string `json:"data"`
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return websocket.Message{}, errors.New("is not a message in JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return websocket.Message{}, errors.New("has data after its message in JSON")
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

// chunks is an input that makes a binary message of whatever is there to be read.
type chunks struct {
	r    io.Reader
	most int // as in lines
	buf  [32 << 10]byte
}

func newChunks(r io.Reader) *chunks {
	c := &chunks{r: r}
	if terminal(r) != nil {
		c.most = canonical()
	}
	return c
}

func (c *chunks) next() (websocket.Message, error) {
	for {
		n, err := c.r.Read(c.buf[:])
		if c.most > 0 && n > c.most {
			return websocket.Message{}, cutByTerminal(c.most)
		}
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
