package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket"
)

// rawOutput writes payloads unchanged, as they arrive.
func rawOutput() output {
	buf := make([]byte, 32<<10)
	return func(_ websocket.Type, r io.Reader, w io.Writer) error {
		_, err := io.CopyBuffer(w, r, buf)
		return err
	}
}

// lineOutput writes each message in one piece, followed by end.
func lineOutput(format formatter, end byte) output {
	var data bytes.Buffer
	var line []byte
	return func(typ websocket.Type, r io.Reader, w io.Writer) error {
		data.Reset()
		if _, err := data.ReadFrom(r); err != nil {
			return err
		}
		line = append(format(line[:0], websocket.Message{Type: typ, Data: data.Bytes()}), end)
		_, err := w.Write(line)
		return err
	}
}

// notifyingReader is a reader that calls a function after each read.
type notifyingReader struct {
	r      io.Reader
	onRead func()
}

func (n *notifyingReader) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	n.onRead()
	return k, err
}

// formatter appends the displayed form of a message to dst.
type formatter func(dst []byte, m websocket.Message) []byte

// newFormat returns the format of messages: unchanged for a program, and without control characters for a terminal.
func newFormat(asJSON, person bool) formatter {
	switch {
	case asJSON:
		return formatJSON
	case person:
		return formatHuman
	}
	return func(dst []byte, m websocket.Message) []byte { return append(dst, m.Data...) }
}

// formatJSON formats messages for programs that need the boundaries and the types of messages.
func formatJSON(dst []byte, m websocket.Message) []byte {
	v := struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}{m.Type.String(), m.Data} // json.Marshal encodes bytes as base64
	if m.Type == websocket.Text {
		v.Data = string(m.Data)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // encoding a string and bytes does not fail
	}
	return append(dst, b...)
}

// hexShown is the number of bytes of a binary message that are shown on a terminal.
const hexShown = 64

func formatHuman(dst []byte, m websocket.Message) []byte {
	if m.Type == websocket.Text {
		// A prefix keeps later lines of the message from looking like another message, or like typed input.
		return append(dst, strings.ReplaceAll(visible.Text(string(m.Data)), "\n", "\n| ")...)
	}
	dst = fmt.Appendf(dst, "(%d bytes) % x", len(m.Data), m.Data[:min(len(m.Data), hexShown)])
	if len(m.Data) > hexShown {
		dst = append(dst, " …"...)
	}
	return dst
}
