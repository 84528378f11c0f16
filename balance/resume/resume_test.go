package resume

import (
	"fmt"
	"testing"
)

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		subprotocol, path string
		o                 Options
		want              string
	}{
		{"handfast.v1.json", "/", Options{}, "*resume.channels"},
		{"", "/channels", Options{}, "*resume.channels"},
		{"centrifuge-json", "/", Options{}, "*resume.centrifugo"},
		{"centrifuge-protobuf", "/", Options{Stateless: true}, "*resume.centrifugo"},
		{"", "/v1/connection/websocket", Options{}, "*resume.centrifugo"},
		{"", "/x", Options{Stateless: true}, "resume.stateless"},
		{"other", "/channels", Options{Stateless: true}, "resume.stateless"},
		{"other", "/channels", Options{}, "<nil>"},
		{"", "/x", Options{}, "<nil>"},
	} {
		if got := fmt.Sprintf("%T", New(tt.subprotocol, tt.path, tt.o)); got != tt.want {
			t.Errorf("%q, %q, %+v: got %s, want %s", tt.subprotocol, tt.path, tt.o, got, tt.want)
		}
	}
}

func TestStateless(t *testing.T) {
	s := New("", "", Options{Stateless: true})
	m := Message{Binary: true, Data: []byte("x")}
	if out, send := s.Client(m); !send || !same(out, m) {
		t.Errorf("Client: got %v, %v, want the message sent", out, send)
	}
	if out, err := s.Resume(); len(out) != 0 || err != nil || !s.Idle() {
		t.Errorf("Resume: got %v, %v, want nothing to send, and an idle session", out, err)
	}
	if out, done, err := s.Server(m); len(out) != 1 || !same(out[0], m) || done || err != nil {
		t.Errorf("Server: got %v, %v, %v, want only the message", out, done, err)
	}
}

// The token of a renewal is used in the next handshake, once the server has accepted it.
func TestRenewed(t *testing.T) {
	s := New("handfast.v1.json", "", Options{})
	r, ok := s.(Renewer)
	if !ok {
		t.Fatal("the session does not implement Renewer")
	}
	s.Server(Message{Data: []byte(`{"type":"welcome","client":"AAAA"}`)})
	for _, tt := range []struct{ token, reply, want string }{
		{"bad", `{"type":"error","id":1,"code":"denied","message":"the token is not accepted"}`, ""},
		{"good", `{"type":"done","id":1,"expires_in":5}`, "good"},
	} {
		s.Client(Message{Data: []byte(`{"type":"refresh","id":1,"token":"` + tt.token + `"}`)})
		s.Server(Message{Data: []byte(tt.reply)})
		if got := r.Renewed(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.token, got, tt.want)
		}
	}
}

// A truncated Protobuf message of a server is passed on.
func TestCentrifugoTruncatedMessage(t *testing.T) {
	s := New("centrifuge-protobuf", "", Options{})
	for _, data := range []string{"\x05\x08", "\x80", "\x02\xff\xff"} {
		m := Message{Binary: true, Data: []byte(data)}
		if out, send := s.Client(m); !send || !same(out, m) {
			t.Errorf("Client(%q): got %q, want it unchanged", data, out.Data)
		}
		if out, done, err := s.Server(m); len(out) != 1 || !same(out[0], m) || done || err != nil {
			t.Errorf("Server(%q): got %v, %v, %v, want it unchanged", data, out, done, err)
		}
	}
	if _, err := s.Resume(); err == nil {
		t.Error("Resume succeeded after a truncated message")
	}
}

// A session whose client has sent an unknown command cannot be resumed; the command is passed on.
func TestCentrifugoUnknownCommand(t *testing.T) {
	for _, unknown := range []string{"", `{"id":"two","subscribe":{"channel":"a"}}`} {
		s := New("", "/connection/websocket", Options{})
		send := func(data string) {
			if out, send := s.Client(Message{Data: []byte(data)}); !send || string(out.Data) != data {
				t.Errorf("Client(%q): got %q, want it unchanged", data, out.Data)
			}
		}
		send(`{"id":1,"connect":{}}`)
		if _, _, err := s.Server(Message{Data: []byte(`{"id":1,"connect":{"client":"c","version":"1"}}`)}); err != nil {
			t.Fatal(err)
		}
		if unknown != "" {
			send(unknown)
		}
		if _, err := s.Resume(); (err == nil) != (unknown == "") {
			t.Errorf("Resume after %q: got %v", unknown, err)
		}
	}
}

func TestGone(t *testing.T) {
	plain, centrifugo := New("", "", Options{Stateless: true}), New("centrifuge-json", "", Options{})
	for code, want := range map[uint16][2]bool{1000: {}, 1001: {true, true}, 1012: {true, true}, 3001: {false, true}, 3011: {}, 3500: {}, 4401: {}} {
		if got := [2]bool{plain.Gone(code), centrifugo.Gone(code)}; got != want {
			t.Errorf("%d: got %v, want %v", code, got, want)
		}
	}
}
