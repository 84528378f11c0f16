package resume

import (
	"bytes"
	"fmt"
	"testing"
)

// surplus returns the number of bytes that a session counts in addition to the sizes of its commands, subscriptions and token: the
// size of the request to connect in Centrifugo's protocol, otherwise 0. It is also 0 after a limit was reached.
func surplus(s Session) int {
	switch s := s.(type) {
	case *channels:
		items := len(s.token)
		for _, x := range s.subs {
			items += x.size()
		}
		return uncounted(&s.ledger, items)
	case *centrifugo:
		items := len(s.token)
		for _, x := range s.subs {
			items += x.size
		}
		return uncounted(&s.ledger, items)
	}
	return 0
}

// uncounted returns the number of bytes that a ledger counts in addition to its commands and to items.
func uncounted[T any](l *ledger[T], items int) int {
	if l.failure != nil {
		return 0
	}
	for _, c := range l.waiting {
		items += c.size()
	}
	return l.size - items
}

// A message that shares all its memory with a kept text is copied. A text in memory of its own is not, nor is a part of a message.
func TestCloneShared(t *testing.T) {
	for _, message := range [][]byte{[]byte("x"), []byte("message")} {
		kept := cloneShared(message, message)
		if &kept[0] == &message[0] || !bytes.Equal(kept, message) {
			t.Errorf("%q: got %q in the same memory, want a copy", message, kept)
		}
		own := bytes.Clone(message)
		if kept := cloneShared(own, message); &kept[0] != &own[0] {
			t.Errorf("%q: got a copy of a text in memory of its own", own)
		}
	}
	if kept := cloneShared(nil, nil); kept != nil {
		t.Errorf("got %q, want nil", kept)
	}
}

// An unsigned integer has at most 64 bits.
func TestNumber(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "7": 7, "18446744073709551615": 1<<64 - 1, "18446744073709551609": 1<<64 - 7, "9999999999999999999": 9999999999999999999,
	} {
		if n, ok := number([]byte(text)); !ok || n != want {
			t.Errorf("%s: got %d, %v, want %d", text, n, ok, want)
		}
	}
	for _, text := range []string{"", "18446744073709551616", "20000000000000000000", "000000000000000000001", "-1", "1.0", "1e3", ":", "/"} {
		if n, ok := number([]byte(text)); ok {
			t.Errorf("%q: got %d, want no number", text, n)
		}
	}
}

// Consecutive positions of a client's own messages are one range, so a client may publish any number of messages in a row.
func TestConsecutiveSilentMessages(t *testing.T) {
	s := newChannels(Options{Subscriptions: 1, Unanswered: 1, Bytes: 8 << 10})
	send := func(client, server string) {
		s.Client(Message{Data: []byte(client)})
		s.Server(Message{Data: []byte(server)})
	}
	s.Server(Message{Data: []byte(`{"type":"welcome","client":"AAAA"}`)})
	send(`{"type":"subscribe","id":1,"channel":"a"}`, `{"type":"subscribed","id":1,"channel":"a","position":{"epoch":"e","offset":0}}`)
	for i := 1; i <= 3*maxSpans; i++ {
		send(fmt.Sprintf(`{"type":"publish","id":%d,"channel":"a","data":1,"echo":false,"message_id":"%d"}`, i+1, i),
			fmt.Sprintf(`{"type":"published","id":%d,"position":{"epoch":"e","offset":%d}}`, i+1, i))
	}
	if x := s.subs["a"]; len(x.silent) != 1 || x.inexact || !x.isSilent(1) || !x.isSilent(3*maxSpans) || x.isSilent(3*maxSpans+1) {
		t.Errorf("got the ranges %v, inexact %v, want one of all %d messages", x.silent, x.inexact, 3*maxSpans)
	}
}

// Before the first resume the client gets every message of the server, even one with an old offset.
func TestOldOffsetBeforeResume(t *testing.T) {
	s, _ := newSized("channels", Options{Subscriptions: 1, Unanswered: 1, Bytes: 8 << 10})
	s.Client(Message{Data: []byte(`{"type":"subscribe","id":1,"channel":"a"}`)})
	s.Server(Message{Data: []byte(`{"type":"subscribed","id":1,"channel":"a","position":{"epoch":"e","offset":5}}`)})
	for _, offset := range []int{3, 5, 6} {
		m := Message{Data: fmt.Appendf(nil, `{"type":"message","channel":"a","offset":%d,"data":1}`, offset)}
		if out, _, err := s.Server(m); err != nil || len(out) != 1 || !same(out[0], m) {
			t.Errorf("offset %d: got %v, %v, want the message", offset, out, err)
		}
	}
}
