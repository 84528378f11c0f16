package resume

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A client for which the session would have to store too much is served as before, but cannot be resumed; the stored data is
// limited.
func TestBounds(t *testing.T) {
	const bytes = 8 << 10
	big := strings.Repeat("x", 1000)
	many := map[string]func(i int) (client, server string){
		"channels unanswered": func(i int) (string, string) {
			return fmt.Sprintf(`{"type":"publish","id":%d,"channel":"a","data":1,"message_id":"m"}`, i+1), ""
		},
		"channels commands": func(i int) (string, string) {
			return fmt.Sprintf(`{"type":"publish","id":%d,"channel":"a","data":"%s","message_id":"m"}`, i+1, big), ""
		},
		"channels subscriptions": func(i int) (string, string) {
			return fmt.Sprintf(`{"type":"subscribe","id":%d,"channel":"a%d"}`, i+1, i),
				fmt.Sprintf(`{"type":"subscribed","id":%d,"channel":"a%d","position":{"epoch":"e","offset":0}}`, i+1, i)
		},
		"channels members": func(i int) (string, string) {
			if i == 0 {
				return `{"type":"subscribe","id":1,"channel":"a","changes":true}`,
					`{"type":"subscribed","id":1,"channel":"a","position":{"epoch":"e","offset":0}}`
			}
			return `{"type":"ping","id":1}`, fmt.Sprintf(`{"type":"join","channel":"a","member":{"user":"u%d","data":"%s"}}`, i, big)
		},
		"centrifugo unanswered": func(i int) (string, string) {
			return fmt.Sprintf(`{"id":%d,"rpc":{}}`, i+2), ""
		},
		"centrifugo subscriptions": func(i int) (string, string) {
			return fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"a%d"}}`, i+2, i), fmt.Sprintf(`{"id":%d,"subscribe":{"recoverable":true,"epoch":"e"}}`, i+2)
		},
		"centrifugo tokens": func(i int) (string, string) {
			if i < 8 {
				return fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"a%d"}}`, i+2, i), fmt.Sprintf(`{"id":%d,"subscribe":{"recoverable":true,"epoch":"e"}}`, i+2)
			}
			return fmt.Sprintf(`{"id":%d,"sub_refresh":{"channel":"a%d","token":"%s"}}`, i+2, i%8, big+big), fmt.Sprintf(`{"id":%d,"sub_refresh":{}}`, i+2)
		},
	}
	for name, step := range many {
		t.Run(name, func(t *testing.T) {
			protocol, _, _ := strings.Cut(name, " ")
			s, size := newSized(protocol, Options{Subscriptions: 20, Unanswered: 20, Bytes: bytes})
			var err error
			for i := range 100 {
				client, server := step(i)
				m := Message{Data: []byte(client)}
				if out, send := s.Client(m); !send || !same(out, m) {
					t.Fatalf("client: got %s (send %v), want %s", out.Data, send, client)
				}
				if server != "" {
					m = Message{Data: []byte(server)}
					if out, _, err := s.Server(m); err != nil || len(out) != 1 || !same(out[0], m) {
						t.Fatalf("server: got %v, %v, want %s", out, err, server)
					}
				}
				if n := size(); n < 0 || n > bytes+4*len(big) {
					t.Fatalf("got %d bytes kept, want 0 to %d", n, bytes+4*len(big))
				}
			}
			if _, err = s.Resume(); !errors.Is(err, ErrTooMuch) && !(strings.HasSuffix(name, "members") && errors.Is(err, ErrState)) {
				t.Errorf("Resume: got %v, want ErrTooMuch", err)
			}
		})
	}
}

// A session stores exactly as much as the limits allow.
func TestLedgerBounds(t *testing.T) {
	one := command[int]{channel: "a", text: []byte("text")}
	o := Options{Unanswered: 2, Subscriptions: 2, Bytes: 3 * one.size()}
	l := ledger[int]{opts: o}
	for i := range 3 {
		if ok := l.add(one); ok != (i < 2) || errors.Is(l.failure, ErrTooMuch) == ok {
			t.Errorf("command %d of at most two: got %t, %v, want %t", i+1, ok, l.failure, i < 2)
		}
	}
	o.Unanswered = 4
	l = ledger[int]{opts: o}
	for i := range 4 {
		if ok := l.add(one); ok != (i < 3) {
			t.Errorf("command %d, %d of %d bytes: got %t, %v, want %t", i+1, l.size, o.Bytes, ok, l.failure, i < 3)
		}
	}
	for number, want := range map[int]bool{1: true, 2: false} {
		if l = (ledger[int]{opts: o}); l.hasRoom(number, o.Bytes) != want || (l.failure == nil) != want {
			t.Errorf("room after %d: got %v, want room %v", number, l.failure, want)
		}
	}
	if l = (ledger[int]{opts: o}); l.hasRoom(0, o.Bytes+1) {
		t.Errorf("got room for %d bytes, want at most %d", o.Bytes+1, o.Bytes)
	}
	l = ledger[int]{opts: o}
	if l.grow(o.Bytes); l.failure != nil {
		t.Errorf("grow to the limit: got %v, want nil", l.failure)
	}
	if l.grow(1); !errors.Is(l.failure, ErrTooMuch) {
		t.Errorf("grow beyond the limit: got %v, want ErrTooMuch", l.failure)
	}
}

// Of the tokens with which a client renews its credential, only the last one is stored.
func TestRenewedTokenSize(t *testing.T) {
	s, size := newSized("channels", Options{Unanswered: 1, Bytes: 8 << 10})
	before := size()
	for i := range 3 {
		s.Client(Message{Data: fmt.Appendf(nil, `{"type":"refresh","id":%d,"token":"good%d"}`, i+1, i)})
		s.Server(Message{Data: fmt.Appendf(nil, `{"type":"done","id":%d,"expires_in":5}`, i+1)})
		if got := size() - before; got != len("good0") {
			t.Errorf("after %d tokens: got %d bytes, want %d", i+1, got, len("good0"))
		}
	}
}

// The members of a channel are stored as long as they fit exactly.
func TestMembersFitExactly(t *testing.T) {
	for spare, want := range map[int]int{-1: 0, 0: 2, 1: 2} {
		s, _ := newSized("channels", Options{Unanswered: 1, Subscriptions: 1, Bytes: 8 << 10})
		s.Client(Message{Data: []byte(`{"type":"subscribe","id":1,"channel":"a","changes":true}`)})
		s.Server(Message{Data: []byte(`{"type":"subscribed","id":1,"channel":"a","position":{"epoch":"e","offset":0},"users":1,"members":[{"user":"ann","data":1}]}`)})
		c := s.(*channels)
		c.opts.Bytes = c.size + sizeOfMember("bob", "2") + spare
		s.Server(Message{Data: []byte(`{"type":"join","channel":"a","member":{"user":"bob","data":2}}`)})
		if n := len(c.subs["a"].members); n != want {
			t.Errorf("with %d bytes to spare: got %d members, want %d", spare, n, want)
		}
	}
}

// newSized returns a connected session, and a function for the number of bytes that it stores.
func newSized(protocol string, o Options) (Session, func() int) {
	if protocol == "channels" {
		s := newChannels(o)
		s.Server(Message{Data: []byte(`{"type":"welcome","client":"AAAA"}`)})
		return s, func() int { return s.size }
	}
	s := newCentrifugo(o)
	s.Client(Message{Data: []byte(`{"id":1,"connect":{}}`)})
	s.Server(Message{Data: []byte(`{"id":1,"connect":{"client":"AAAA"}}`)})
	return s, func() int { return s.size }
}

// After a resume, the size of a session counts the members in the new server's list instead of the previous ones.
func TestResumedMembersSize(t *testing.T) {
	const (
		few  = `"users":2,"members":[{"user":"ann","data":1},{"user":"bob"}]}`
		many = `"users":3,"members":[{"user":"ann","data":"some data"},{"user":"cid"},{"user":"dan","data":2}]}`
	)
	subscribe := func(list string) (Session, func() int) {
		s, size := newSized("channels", Options{}.withDefaults())
		s.Client(Message{Data: []byte(`{"type":"subscribe","id":1,"channel":"room","members":100,"changes":true}`)})
		s.Server(Message{Data: []byte(`{"type":"subscribed","id":1,"channel":"room","position":{"epoch":"e","offset":0},` + list)})
		return s, size
	}
	for _, lists := range [][2]string{{few, many}, {many, few}} {
		s, size := subscribe(lists[0])
		if _, err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		s.Server(Message{Data: []byte(`{"type":"welcome","client":"BBBB"}`)})
		reply := fmt.Sprintf(`{"type":"subscribed","id":%d,"channel":"room","position":{"epoch":"e","offset":0},"recovered":true,%s`, firstOwnID, lists[1])
		if _, done, err := s.Server(Message{Data: []byte(reply)}); !done || err != nil {
			t.Fatalf("got done %v, %v, want a complete resume", done, err)
		}
		if _, direct := subscribe(lists[1]); size() != direct() {
			t.Errorf("got %d bytes after the resume, want %d", size(), direct())
		}
	}
}
