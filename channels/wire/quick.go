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

// quickSubscribe returns the subscription in a message. It returns nil if the message is another command or not in the usual form:
// if it contains an escape in a string, an unknown or repeated field, or an error.
func quickSubscribe(data []byte) *Subscribe {
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
			return c.Since.quick(&s)
		}
		return false
	})
	if s.space(); !known || s.at != len(data) || c.Type == "" || c.Channel == "" || len(c.Channel) > maxName || flaw(c) != "" {
		return nil
	}
	return c
}

const subscribe = "subscribe"

func (c *Since) quick(s *scanner) bool {
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
	at   int
}

// space skips white space (RFC 8259 §2).
func (s *scanner) space() {
	for s.at < len(s.data) && (s.data[s.at] == ' ' || s.data[s.at] == '\t' || s.data[s.at] == '\n' || s.data[s.at] == '\r') {
		s.at++
	}
}

// next consumes a given byte, and the white space before it.
func (s *scanner) next(c byte) bool {
	if s.space(); s.at == len(s.data) || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

// object reads an object, and calls value to read the value of each field.
func (s *scanner) object(value func(name []byte) bool) bool {
	if !s.next('{') {
		return false
	}
	var seen [8][]byte
	for i := range seen {
		name, ok := s.ascii()
		if !ok || !s.next(':') || slices.ContainsFunc(seen[:i], func(x []byte) bool { return bytes.Equal(x, name) }) {
			return false
		}
		seen[i] = name
		if !value(name) {
			return false
		}
		if s.next('}') {
			return true
		}
		if !s.next(',') {
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
	if !s.next('"') {
		return nil, false
	}
	begin := s.at
	for s.at < len(s.data) && plain(s.data[s.at]) {
		s.at++
	}
	if s.at == len(s.data) || s.data[s.at] != '"' {
		return nil, false
	}
	s.at++
	return s.data[begin : s.at-1], true
}

// plain reports whether a byte is unescaped in a JSON string and represents itself.
func plain(c byte) bool { return c >= ' ' && c < 0x7f && c != '"' && c != '\\' }

// mostDigits is the maximum number of digits of which every number fits into 64 bits.
const mostDigits = 19

// number reads a number without a sign, a fraction and an exponent.
func (s *scanner) number(into *uint64) bool {
	s.space()
	begin := s.at
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' {
		*into = *into*10 + uint64(s.data[s.at]-'0')
		s.at++
	}
	digits := s.at - begin
	return digits == 1 || digits > 1 && digits <= mostDigits && s.data[begin] != '0'
}

// writer writes JSON. odd means that a value requires encoding/json, so the result must be discarded.
type writer struct {
	b   []byte
	odd bool
}

// text writes a field that is a string. name contains the bytes before the value.
func (w *writer) text(name, value string) {
	for i := range len(value) {
		w.odd = w.odd || !plain(value[i])
	}
	w.b = append(append(append(append(w.b, name...), '"'), value...), '"')
}

// someText is like text, but omits an empty string.
func (w *writer) someText(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

// number writes a field that is a number.
func (w *writer) number(name string, value uint64) {
	w.b = strconv.AppendUint(append(w.b, name...), value, 10)
}

// someNumber is like number, but omits 0.
func (w *writer) someNumber(name string, value uint64) {
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
	w.odd = w.odd || json.Compact(b, value) != nil
	w.b = b.Bytes()
}

func (w *writer) position(name string, p Position) {
	w.text(name+`{"epoch":`, p.Epoch)
	w.number(`,"offset":`, p.Offset)
	w.b = append(w.b, '}')
}

// quickly returns a message as JSON; nil means that encoding/json must be used.
func quickly(v any) []byte {
	const most = 160 // the usual number of bytes in addition to the fields of variable length
	var w writer
	switch m := v.(type) {
	case *Welcome:
		w.b = make([]byte, 0, most/2+len(m.User))
		w.welcome(m)
	case *Subscribed:
		w.b = make([]byte, 0, most+len(m.Channel))
		w.subscribed(m)
	case *Message:
		w.b = make([]byte, 0, most+len(m.Channel)+len(m.Data)+len(m.Info))
		w.message(m)
	default:
		return nil
	}
	if w.odd {
		return nil
	}
	return append(w.b, '}')
}

func (w *writer) welcome(m *Welcome) {
	w.text(`{"type":`, m.Type)
	w.text(`,"client":`, m.Client)
	w.someText(`,"user":`, m.User)
	w.odd = w.odd || m.ExpiresIn < 0
	w.someNumber(`,"expires_in":`, uint64(max(0, m.ExpiresIn)))
}

func (w *writer) subscribed(m *Subscribed) {
	w.odd = m.Users != 0 || len(m.Members) > 0 || m.Next != ""
	w.text(`{"type":`, m.Type)
	w.someNumber(`,"id":`, m.ID)
	w.text(`,"channel":`, m.Channel)
	w.position(`,"position":`, m.Position)
	if m.Recovered != nil {
		w.b = strconv.AppendBool(append(w.b, `,"recovered":`...), *m.Recovered)
	}
	w.someText(`,"why":`, string(m.Why))
}

func (w *writer) message(m *Message) {
	w.odd = len(m.Tags) > 0 || m.Time.Year() < 0 || m.Time.Year() > 9999 || m.Time.Location() != time.UTC
	w.text(`{"type":`, m.Type)
	w.someText(`,"channel":`, m.Channel)
	w.someNumber(`,"offset":`, m.Offset)
	w.raw(`,"data":`, m.Data)
	if m.Binary {
		w.b = append(w.b, `,"binary":true`...)
	}
	w.someText(`,"event":`, m.Event)
	w.someText(`,"key":`, m.Key)
	if m.Removed {
		w.b = append(w.b, `,"removed":true`...)
	}
	w.someText(`,"user":`, m.User)
	w.someText(`,"client":`, m.Client)
	w.raw(`,"info":`, m.Info)
	if !m.Time.IsZero() {
		w.b = append(w.b, `,"time":"`...)
		w.b = append(m.Time.AppendFormat(w.b, time.RFC3339Nano), '"')
	}
}
