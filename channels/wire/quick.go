package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// This file contains a faster decoder and encoder for the messages that thousands of clients send and receive when they reconnect at the
// same time. They handle only messages for which the result is the same as that of encoding/json, and leave all others to encoding/json.

// decodeSubscribeFast returns the subscription in a message. It returns nil if the message is another command or not in the usual form:
// if it contains an escape in a string, an unknown or repeated field, or an error.
func decodeSubscribeFast(data []byte) *Subscribe {
	s := scanner{data: data}
	c := new(Subscribe)
	known := s.object(func(name []byte) bool {
		switch string(name) {
		case "type":
			name, ok := s.ascii()
			c.Type = subscribe
			return ok && string(name) == subscribe
		case "id":
			return s.number(&c.ID)
		case "channel":
			return s.text(&c.Channel)
		case "since":
			c.Since = new(Since)
			return c.Since.decodeFast(&s)
		}
		return false
	})
	if s.skipSpace(); !known || s.pos != len(data) || c.Type == "" || c.Channel == "" || len(c.Channel) > maxName || invalid(c) != "" {
		return nil
	}
	return c
}

const subscribe = "subscribe"

func (c *Since) decodeFast(s *scanner) bool {
	return s.object(func(name []byte) bool {
		switch string(name) {
		case "epoch":
			return s.text(&c.Epoch)
		case "offset":
			return s.number(&c.Offset)
		case "device":
			return s.text(&c.Device)
		}
		return false
	})
}

// scanner reads simple JSON. Each method reports whether it could read the next value.
type scanner struct {
	data []byte
	pos  int
}

// skipSpace skips white space (RFC 8259 §2).
func (s *scanner) skipSpace() {
	for s.pos < len(s.data) && (s.data[s.pos] == ' ' || s.data[s.pos] == '\t' || s.data[s.pos] == '\n' || s.data[s.pos] == '\r') {
		s.pos++
	}
}

// consume consumes a given byte, and the white space before it.
func (s *scanner) consume(c byte) bool {
	if s.skipSpace(); s.pos == len(s.data) || s.data[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

// object reads an object, and calls value to read the value of each field.
func (s *scanner) object(value func(name []byte) bool) bool {
	if !s.consume('{') {
		return false
	}
	var seen [8][]byte
	for i := range seen {
		name, ok := s.ascii()
		if !ok || !s.consume(':') || slices.ContainsFunc(seen[:i], func(x []byte) bool { return bytes.Equal(x, name) }) {
			return false
		}
		seen[i] = name
		if !value(name) {
			return false
		}
		if s.consume('}') {
			return true
		}
		if !s.consume(',') {
			return false
		}
	}
	return false
}

// text reads a string in ASCII without escapes.
func (s *scanner) text(into *string) bool {
	found, ok := s.ascii()
	*into = string(found)
	return ok
}

// ascii is like text, but returns a part of the data, which the caller must not keep.
func (s *scanner) ascii() ([]byte, bool) {
	if !s.consume('"') {
		return nil, false
	}
	begin := s.pos
	for s.pos < len(s.data) && isPlain(s.data[s.pos]) {
		s.pos++
	}
	if s.pos == len(s.data) || s.data[s.pos] != '"' {
		return nil, false
	}
	s.pos++
	return s.data[begin : s.pos-1], true
}

// isPlain reports whether a byte is unescaped in a JSON string and represents itself.
func isPlain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// maxDigits is the maximum number of digits of which every number fits into 64 bits.
const maxDigits = 19

// number reads a number without a sign, a fraction and an exponent.
func (s *scanner) number(into *uint64) bool {
	s.skipSpace()
	begin := s.pos
	for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
		*into = *into*10 + uint64(s.data[s.pos]-'0')
		s.pos++
	}
	digits := s.pos - begin
	return digits == 1 || digits > 1 && digits <= maxDigits && s.data[begin] != '0'
}

// writer writes JSON. unsupported means that a value requires encoding/json, so the result must be discarded.
type writer struct {
	b           []byte
	unsupported bool
}

// text writes a field that is a string. name contains the bytes before the value.
func (w *writer) text(name, value string) {
	for i := range len(value) {
		w.unsupported = w.unsupported || !isPlain(value[i])
	}
	w.b = append(append(append(append(w.b, name...), '"'), value...), '"')
}

// optionalText is like text, but omits an empty string.
func (w *writer) optionalText(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

// number writes a field that is a number.
func (w *writer) number(name string, value uint64) {
	w.b = strconv.AppendUint(append(w.b, name...), value, 10)
}

// optionalNumber is like number, but omits 0.
func (w *writer) optionalNumber(name string, value uint64) {
	if value != 0 {
		w.number(name, value)
	}
}

// raw writes a field whose value is already JSON, and omits an empty one.
func (w *writer) raw(name string, value json.RawMessage) {
	if len(value) == 0 {
		return
	}
	b := bytes.NewBuffer(append(w.b, name...))
	w.unsupported = w.unsupported || json.Compact(b, value) != nil
	w.b = b.Bytes()
}

func (w *writer) position(name string, p Position) {
	w.text(name+`{"epoch":`, p.Epoch)
	w.number(`,"offset":`, p.Offset)
	w.b = append(w.b, '}')
}

// encodeFast returns a message as JSON; nil means that encoding/json must be used.
func encodeFast(v any) []byte {
	const overhead = 160 // the usual number of bytes in addition to the fields of variable length
	var w writer
	switch m := v.(type) {
	case *Welcome:
		w.b = make([]byte, 0, overhead/2+len(m.User))
		w.welcome(m)
	case *Subscribed:
		w.b = make([]byte, 0, overhead+len(m.Channel))
		w.subscribed(m)
	case *Message:
		w.b = make([]byte, 0, overhead+len(m.Channel)+len(m.Data)+len(m.Info))
		w.message(m)
	default:
		return nil
	}
	if w.unsupported {
		return nil
	}
	return append(w.b, '}')
}

func (w *writer) welcome(m *Welcome) {
	w.text(`{"type":`, m.Type)
	w.text(`,"client":`, m.Client)
	w.optionalText(`,"user":`, m.User)
	w.unsupported = w.unsupported || m.ExpiresIn < 0
	w.optionalNumber(`,"expires_in":`, uint64(max(0, m.ExpiresIn)))
}

func (w *writer) subscribed(m *Subscribed) {
	w.unsupported = m.Users != 0 || len(m.Members) > 0 || m.Next != ""
	w.text(`{"type":`, m.Type)
	w.optionalNumber(`,"id":`, m.ID)
	w.text(`,"channel":`, m.Channel)
	w.position(`,"position":`, m.Position)
	if m.Recovered != nil {
		w.b = strconv.AppendBool(append(w.b, `,"recovered":`...), *m.Recovered)
	}
	w.optionalText(`,"why":`, string(m.Why))
}

func (w *writer) message(m *Message) {
	w.unsupported = len(m.Tags) > 0 || m.Time.Year() < 0 || m.Time.Year() > 9999 || m.Time.Location() != time.UTC
	w.text(`{"type":`, m.Type)
	w.optionalText(`,"channel":`, m.Channel)
	w.optionalNumber(`,"offset":`, m.Offset)
	w.raw(`,"data":`, m.Data)
	if m.Binary {
		w.b = append(w.b, `,"binary":true`...)
	}
	w.optionalText(`,"event":`, m.Event)
	w.optionalText(`,"key":`, m.Key)
	if m.Removed {
		w.b = append(w.b, `,"removed":true`...)
	}
	w.optionalText(`,"user":`, m.User)
	w.optionalText(`,"client":`, m.Client)
	w.raw(`,"info":`, m.Info)
	if !m.Time.IsZero() {
		w.b = append(w.b, `,"time":"`...)
		w.b = append(m.Time.AppendFormat(w.b, time.RFC3339Nano), '"')
	}
}
