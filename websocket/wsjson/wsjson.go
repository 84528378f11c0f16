// Package wsjson reads and writes JSON values over a WebSocket: one value is one text message.
//
// Values are encoded and decoded with encoding/json, including its struct tags and interfaces. The size of a message is limited by the
// connection's MaxMessage before it is decoded. As with [websocket.Conn], one goroutine at a time may read, and any number may write.
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

// ErrBinary is returned for a binary message, since JSON is expected in a text message. The message is discarded and the
// connection stays open: the caller may continue to read, or close with [websocket.CodeUnsupportedData].
var ErrBinary = errors.New("wsjson: received a binary message; JSON is expected in a text message")

// maxPooled is the maximum size of a buffer that is returned to the pool, so that one large message does not hold memory forever.
const maxPooled = 64 << 10

// Read reads the next message and decodes it into v, as [json.Unmarshal] does: fields that are absent from the message keep their values.
// If v is nil, Read returns an error without reading. v does not refer to the memory of the message: encoding/json copies values, and
// requires the same of every UnmarshalJSON.
//
// If the message is not JSON, does not fit T, or has data after the value, the error wraps the error of encoding/json, and v may be partly
// filled; for a binary message it is [ErrBinary]. After these errors the connection stays open: continue to read, or close it with
// CodeInvalidData or CodeUnsupportedData. Errors of the connection are those of [websocket.Conn.Read].
func Read[T any](ctx context.Context, c *websocket.Conn, v *T) error {
	if v == nil { // checked before a message is read
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

// Messages returns the received values, each decoded into a new T, until the connection ends. If either end closed it normally, with
// CodeNormal or CodeGoingAway, the sequence ends without an error. When ctx ends, the connection is closed as by [websocket.Conn.Messages].
//
// An element with an error has no value. After a message that is binary or not a T, a loop may continue with the next one; any
// other error is the last element.
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
			if isClean(err) {
				return
			}
			if ctx.Err() != nil && !isMessageError(err) {
				c.Close(websocket.CodeGoingAway, "") //nolint:errcheck // the error of the context is reported instead
			}
			if !yield(none, err) || !isMessageError(err) {
				return
			}
		}
	}
}

// decodeError reports that a message could not be decoded. Its own type distinguishes it from errors of the connection.
type decodeError struct {
	size int
	err  error
}

func (e *decodeError) Error() string {
	return fmt.Sprintf("wsjson: decoding a message of %d bytes: %v", e.size, e.err)
}

func (e *decodeError) Unwrap() error { return e.err }

// isClean reports whether err is the normal end of a connection.
func isClean(err error) bool {
	ce, ok := errors.AsType[*websocket.CloseError](err)
	return ok && ce.Clean()
}

// isMessageError reports whether err is about one message, and not about the connection.
func isMessageError(err error) bool {
	_, ok := errors.AsType[*decodeError](err)
	return ok || errors.Is(err, ErrBinary)
}

// encoder is an encoding/json Encoder with its output buffer.
type encoder struct {
	buf bytes.Buffer
	enc *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.enc = json.NewEncoder(&e.buf)
	return e
}}

// Write encodes v, as json.Marshal does, and sends it as a text message. If v cannot be encoded, the error wraps the error of encoding/json
// and nothing is sent. v may be modified after Write has returned.
func Write(ctx context.Context, c *websocket.Conn, v any) error {
	e := encoders.Get().(*encoder)
	defer func() {
		if e.buf.Cap() <= maxPooled {
			e.buf.Reset()
			encoders.Put(e)
		}
	}()
	if err := e.enc.Encode(v); err != nil {
		return fmt.Errorf("wsjson: encoding: %w", err)
	}
	text := bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")) // Encode ends with a newline, which a message does not need
	return c.Write(ctx, websocket.Message{Type: websocket.Text, Data: text})
}
