package resume

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/centrifugal/protocol"
)

// The input of a session's fuzz test is a sequence of steps, separated by empty lines: "c" and "s" begin a message of the client
// and of the server, "C" and "S" a binary one, and "r" begins a resume on another server.
func fuzzSession(f *testing.F, protocol, files string, foreign func(data []byte, binary, client bool) bool) {
	names, err := filepath.Glob("testdata/" + files)
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var steps []string
		for line := range strings.Lines(string(text)) {
			word, message, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch word {
			case "c>", "c=", "s>", "s=":
				steps = append(steps, word[:1]+strings.ReplaceAll(message, " | ", "\n"))
			case "switch":
				steps = append(steps, "r")
			}
		}
		f.Add([]byte(strings.Join(steps, "\n\n")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{Subscriptions: 8, Unanswered: 8, Bytes: 4096}
		s := New(protocol, "", o)
		resuming, moved := false, false
		for step := range bytes.SplitSeq(data, []byte("\n\n")) {
			if len(step) == 0 {
				continue
			}
			m := Message{Binary: step[0] == 'C' || step[0] == 'S', Data: step[1:]}
			before := bytes.Clone(m.Data)
			switch step[0] {
			case 'c', 'C':
				out, send := s.Client(m)
				if !moved && !send {
					t.Errorf("client: %q was not sent, want it sent before the first resume", m.Data)
				}
				if !moved && foreign(m.Data, m.Binary, true) && !same(out, m) {
					t.Errorf("client: got %q, want %q", out.Data, m.Data)
				}
			case 's', 'S':
				out, done, err := s.Server(m)
				if !resuming && (done || err != nil) {
					t.Errorf("server: %q: got done %v, %v without a resume", m.Data, done, err)
				}
				if !moved && foreign(m.Data, m.Binary, false) && (len(out) != 1 || !same(out[0], m)) {
					t.Errorf("server: got %v, want %q", out, m.Data)
				}
				if err != nil {
					return // the connection would be closed
				}
				resuming = resuming && !done
			case 'r':
				if out, err := s.Resume(); err == nil {
					resuming, moved = len(out) > 0 || protocol != "centrifuge-json", true
				}
			}
			if !bytes.Equal(before, m.Data) {
				t.Errorf("got %q, want the message %q unmodified", m.Data, before)
			}
		}
	})
}

func same(a, b Message) bool { return a.Binary == b.Binary && bytes.Equal(a.Data, b.Data) }

func FuzzChannels(f *testing.F) {
	fuzzSession(f, "handfast.v1.json", "channels*.txt", func(data []byte, binary, _ bool) bool { return binary || !json.Valid(data) })
}

func FuzzCentrifugo(f *testing.F) {
	fuzzSession(f, "centrifuge-json", "centrifugo*.txt", func(data []byte, binary, client bool) bool {
		for rest := data; len(rest) > 0; {
			part, more, ok := format{binary}.cut(rest)
			if !ok {
				return true
			}
			if client {
				_, ok = format{binary}.command(part)
			} else {
				_, ok = format{binary}.reply(part)
			}
			if !ok && len(part) > 0 {
				return true
			}
			rest = more
		}
		return false
	})
}

// The iteration over an object finds the same members as encoding/json.
func FuzzObject(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":1}`, ` { "a" : [1,{"b":"}"},"\\"] , "c\"":"\\\"" } `, `{"a":{"b":null}}`, `{"a"`, `{"a":1,}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]json.RawMessage
		fine := utf8.Valid(text) && json.Unmarshal(text, &want) == nil && want != nil
		got := map[string]string{}
		o := objectOf(text)
		for name, value, ok := o.next(); ok; name, value, ok = o.next() {
			key, _ := textOf([]byte(`"` + string(name) + `"`))
			got[key] = string(value)
		}
		if !fine {
			return
		}
		if o.bad || len(got) != len(want) {
			t.Fatalf("%s: got %q, want %d members", text, got, len(want))
		}
		for name, value := range want {
			if got[name] != string(value) {
				t.Errorf("%s: member %q: got %s, want %s", text, name, got[name], value)
			}
		}
		if added := withMember(text, "a", []byte("[2]")); len(want) > 0 {
			if json.Unmarshal(added, &want) != nil || string(want["a"]) != "[2]" {
				t.Errorf("with(%s): got %s, want the last a to be [2]", text, added)
			}
		}
		if less, ok := withoutMembers(text, "a", "B"); ok {
			var left map[string]json.RawMessage
			if err := json.Unmarshal(less, &left); err != nil || left["a"] != nil || left["b"] != nil {
				t.Errorf("without(%s): got %s, %v, want neither a nor b", text, less, err)
			}
		}
		if again := replaceAt(text, func(value []byte) []byte { return value }, "a", "*", "b"); !bytes.Equal(again, text) {
			t.Errorf("replaced(%s): got %s, want it unchanged", text, again)
		}
	})
}

// The fields that push reads from a publication are the same as in the decoded publication.
func FuzzPublication(f *testing.F) {
	q := &protocol.Reply{Push: &protocol.Push{Channel: "chat", Pub: &protocol.Publication{
		Data: protocol.Raw(`{"a":["}"]}`), Offset: 7, Tags: map[string]string{"offset": "8"}, Info: &protocol.ClientInfo{User: "ann", Client: "AAAA"},
	}}}
	for _, format := range []format{{}, {binary: true}} {
		text, err := format.encodeReply(q)
		if err != nil {
			f.Fatal(err)
		}
		if p, ok := format.publication(text); !ok || string(p.channel) != "chat" || p.offset != 7 || string(p.client) != "AAAA" {
			f.Fatalf("%s: got %+v, %v, want chat, 7, AAAA", text, p, ok)
		}
		f.Add(text, format.binary)
	}
	f.Fuzz(func(t *testing.T, text []byte, binary bool) {
		format := format{binary}
		p, known := format.publication(text)
		r, ok := format.reply(text)
		if !known || !ok || !utf8.Valid(text) && !binary {
			return
		}
		client := ""
		if r.Push != nil && r.Push.Pub != nil && r.Push.Pub.Info != nil {
			client = r.Push.Pub.Info.Client
		}
		if r.Push == nil || r.Push.Pub == nil || r.Push.Channel != string(p.channel) || r.Push.Pub.Offset != p.offset || client != string(p.client) {
			t.Errorf("%q: got %+v, want the fields of the decoded reply", text, p)
		}
	})
}
