package websocket

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Type is the type of a message (RFC 6455 §5.6).
type Type uint8

// The two message types. Their values are the opcodes on the wire.
const (
	Text   Type = 1 // UTF-8 text; checked in both directions
	Binary Type = 2 // bytes
)

// String returns "text" or "binary".
func (t Type) String() string {
	switch t {
	case Text:
		return "text"
	case Binary:
		return "binary"
	}
	return "invalid"
}

// Message is a complete message. The methods that accept or return it document the ownership of Data.
type Message struct {
	Type Type
	Data []byte
}

var errInvalidUTF8 = errors.New("websocket: a text message must be UTF-8 (RFC 6455 §5.6); send other bytes as Binary")

// check returns an error if t is not a valid message type.
func (t Type) check() error {
	if t != Text && t != Binary {
		return fmt.Errorf("websocket: message type %d is neither Text nor Binary", t)
	}
	return nil
}

// check returns an error if m cannot be sent.
func (m Message) check() error {
	if err := m.Type.check(); err != nil {
		return err
	}
	if m.Type == Text && !utf8.Valid(m.Data) {
		return errInvalidUTF8
	}
	return nil
}
