package resume

import (
	"strings"
	"testing"

	"github.com/centrifugal/protocol"
)

// subscribed returns a session with a subscription to chat, and a publication of size bytes in chat.
func subscribed(tb testing.TB, name string, size int) (Session, Message) {
	tb.Helper()
	data := `{"text":"` + strings.Repeat("x", size) + `"}`
	var s Session
	var f format
	play := func(client bool, text string) {
		m := Message{Data: []byte(text)}
		if f.binary {
			p := &player{binary: true}
			m = p.message(text, client)
		}
		if client {
			s.Client(m)
		} else {
			s.Server(m)
		}
	}
	if name == "channels" {
		s = New("handfast.v1.json", "", Options{})
		play(false, `{"type":"welcome","client":"AAAA"}`)
		play(true, `{"type":"subscribe","id":1,"channel":"chat"}`)
		play(false, `{"type":"subscribed","id":1,"channel":"chat","position":{"epoch":"e","offset":0}}`)
		return s, Message{Data: []byte(`{"type":"message","channel":"chat","offset":1,"data":` + data + `,"user":"bob","client":"Q7XA4M2B"}`)}
	}
	f.binary = name == "protobuf"
	s = New("centrifuge-"+name, "", Options{})
	play(true, `{"id":1,"connect":{}}`)
	play(false, `{"id":1,"connect":{"client":"AAAA"}}`)
	play(true, `{"id":2,"subscribe":{"channel":"chat"}}`)
	play(false, `{"id":2,"subscribe":{"recoverable":true,"epoch":"e"}}`)
	text, err := f.encodeReply(&protocol.Reply{Push: &protocol.Push{Channel: "chat", Pub: &protocol.Publication{Data: protocol.Raw(data), Offset: 1}}})
	if err != nil {
		tb.Fatal(err)
	}
	return s, f.message(text)
}

var sessions = []string{"channels", "json", "protobuf"}

func BenchmarkPublication(b *testing.B) {
	for _, name := range sessions {
		for size, text := range map[int]string{100: "100", 16 << 10: "16Ki"} {
			b.Run(name+"/"+text, func(b *testing.B) {
				s, m := subscribed(b, name, size)
				b.ReportAllocs()
				for b.Loop() {
					if out, _, err := s.Server(m); len(out) != 1 || err != nil {
						b.Fatalf("got %v, %v, want one message", out, err)
					}
				}
			})
		}
	}
}

// BenchmarkCommand measures a publication of the client, and its reply.
func BenchmarkCommand(b *testing.B) {
	s, _ := subscribed(b, "channels", 0)
	publish := Message{Data: []byte(`{"type":"publish","id":2,"channel":"chat","data":{"text":"` + strings.Repeat("x", 100) + `"}}`)}
	reply := Message{Data: []byte(`{"type":"published","id":2,"position":{"epoch":"e","offset":1}}`)}
	b.ReportAllocs()
	for b.Loop() {
		s.Client(publish)
		s.Server(reply)
	}
	if !s.Idle() {
		b.Error("the session is not idle after the reply")
	}
}

func TestPublicationDoesNotAllocate(t *testing.T) {
	for _, name := range sessions {
		s, m := subscribed(t, name, 100)
		if n := testing.AllocsPerRun(100, func() { s.Server(m) }); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}
