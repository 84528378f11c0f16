// Package wsjson reads and writes JSON values over a WebSocket: one value is one text message.
//
// Encoding and decoding are encoding/json's, with its struct tags and its interfaces. A message is bounded by the
// connection's MaxMessage before any of it is decoded. The functions may be called as [websocket.Conn] says: one goroutine
// at a time reads, any number writes.
package wsjson

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync"

	"github.com/handfast/handfast/websocket"
)

// ErrBinary is returned for a binary message, where a text message with JSON was to come. The message is gone, the
// connection lives: the caller may read on, or close with [websocket.CodeUnsupportedData].
var ErrBinary = errors.New("wsjson: a binary message, where JSON is expected in a text message")

// keep is the largest buffer that goes back to the pool: one big message shall not hold memory forever.
const keep = 64 << 10

// Read reads the next message and decodes it into v, as json.Unmarshal does: fields that the message does not name keep
// their values. A nil v is an error, and no message is taken. Nothing of a message stays behind in v: encoding/json copies what it
// keeps, and asks the same of every UnmarshalJSON.
//
// When the message is not JSON, is JSON of another shape than T, or has anything behind the value, the error wraps
// encoding/json's, and v may hold a part of it; a binary message is [ErrBinary]. After these the connection lives: read on,
// or close it with the code that fits, CodeInvalidData or CodeUnsupportedData. Errors of the connection come as
// [websocket.Conn.Read] returns them.
func Read[T any](ctx context.Context, c *websocket.Conn, v *T) error {
	if v == nil { // no message is taken for it
		return fmt.Errorf("wsjson: decoding: %w", &json.InvalidUnmarshalError{Type: reflect.TypeFor[*T]()})
	}
	return c.View(ctx, func(m websocket.Message) error {
		if m.Type != websocket.Text {
			return ErrBinary
		}
		if err := json.Unmarshal(m.Data, v); err != nil {
			return &decodeError{size: len(m.Data), err: err}
		}
		return nil
	})
}

// Messages returns the values that arrive, each decoded into a T of its own, until the connection ends. A peer or a Close
// here that ended it in good order, with CodeNormal or CodeGoingAway, just ends the sequence. When ctx ends, the connection is closed
// as by [websocket.Conn.Messages].
//
// An element with an error holds no value. After a message that is no T, or is binary, a loop may go on with the next
// one; any other error is the last element.
func Messages[T any](ctx context.Context, c *websocket.Conn) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			var v, none T
			err := Read(ctx, c, &v)
			if err == nil {
				if !yield(v, nil) {
					return
				}
				continue
			}
			if finished(err) {
				return
			}
			if ctx.Err() != nil && !ofMessage(err) {
				c.Close(websocket.CodeGoingAway, "") //nolint:errcheck // the error to report is the context's
			}
			if !yield(none, err) || !ofMessage(err) {
				return
			}
		}
	}
}

// decodeError says that a message could not be decoded. Its own type tells it from errors of the connection.
type decodeError struct {
	size int
	err  error
}

func (e *decodeError) Error() string {
	return fmt.Sprintf("wsjson: decoding a message of %d bytes: %v", e.size, e.err)
}

func (e *decodeError) Unwrap() error { return e.err }

// finished reports whether err is the end of a connection that ended in good order, its purpose fulfilled.
func finished(err error) bool {
	ce, ok := errors.AsType[*websocket.CloseError](err)
	return ok && ce.Clean()
}

// ofMessage reports whether err is about one message, and not about the connection.
func ofMessage(err error) bool {
	_, ok := errors.AsType[*decodeError](err)
	return ok || errors.Is(err, ErrBinary)
}

// encoder is an encoding/json Encoder with the buffer that it writes to.
type encoder struct {
	buf bytes.Buffer
	enc *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.enc = json.NewEncoder(&e.buf)
	return e
}}

// Write encodes v, as json.Marshal does, and sends it as a text message. When v cannot be encoded, the error wraps
// encoding/json's and nothing was sent. v may be changed again when Write has returned.
func Write(ctx context.Context, c *websocket.Conn, v any) error {
	e := encoders.Get().(*encoder)
	defer func() {
		if e.buf.Cap() <= keep {
			e.buf.Reset()
			encoders.Put(e)
		}
	}()
	if err := e.enc.Encode(v); err != nil {
		return fmt.Errorf("wsjson: encoding: %w", err)
	}
	text := bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")) // Encode ends a line, a message needs no end
	return c.Write(ctx, websocket.Message{Type: websocket.Text, Data: text})
}
