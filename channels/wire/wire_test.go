package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
)

// serverMessages contains the server's messages by their type.
var serverMessages = map[string]func() any{
	"welcome": func() any { return new(Welcome) }, "subscribed": func() any { return new(Subscribed) },
	"message": func() any { return new(Message) }, "join": func() any { return new(Change) }, "update": func() any { return new(Change) },
	"leave": func() any { return new(Change) }, "unsubscribed": func() any { return new(Unsubscribed) },
	"published": func() any { return new(Published) }, "members": func() any { return new(Roster) }, "history": func() any { return new(Page) },
	"snapshot": func() any { return new(Page) }, "done": func() any { return new(Done) }, "pong": func() any { return new(Done) },
	"refresh": func() any { return new(Expiring) }, "error": func() any { return new(Error) },
}

// Every example in the document is a message of this package without unknown fields, and every message has an example.
func TestDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/channels-protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "> "); ok {
			c, bad := Decode([]byte(text))
			if bad != nil {
				t.Errorf("%s: %v", line, bad)
				continue
			}
			same(t, text, c, reflect.New(reflect.TypeOf(c).Elem()).Interface())
			seen["> "+HeadOf(c).Type] = true
		}
		if text, ok := strings.CutPrefix(line, "< "); ok {
			var h Head
			if err := json.Unmarshal([]byte(text), &h); err != nil || serverMessages[h.Type] == nil {
				t.Errorf("%s: type %q, %v", line, h.Type, err)
				continue
			}
			m := serverMessages[h.Type]()
			same(t, text, m, m)
			seen["< "+h.Type] = true
		}
	}
	for name := range commands {
		if !seen["> "+name] {
			t.Errorf("no example of the command %s", name)
		}
	}
	for name := range serverMessages {
		if !seen["< "+name] {
			t.Errorf("no example of the server's %s", name)
		}
	}
	for _, code := range []Code{BadRequest, UnknownType, Denied, TooMany, TooFast, TooBig, AlreadySubscribed, NotSubscribed, NoPresence,
		Unsupported, Unavailable, Expired, Insufficient, Slow, ByServer} {
		if !bytes.Contains(doc, []byte("`"+string(code)+"`")) {
			t.Errorf("the code %s is not explained", code)
		}
	}
}

// same decodes text into the value into, encodes v, and compares the result with text. v is into, or a command that was decoded from the
// same text.
func same(t *testing.T, text string, v, into any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	var want, got any
	b, err := Encode(v)
	if v == into {
		b, err = Encode(into)
	}
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal([]byte(text), &want) != nil || json.Unmarshal(b, &got) != nil {
		t.Fatal(text)
	}
	// In addition, the encoding may contain limit and defaults that text omits.
	for k, v := range want.(map[string]any) {
		if !reflect.DeepEqual(v, got.(map[string]any)[k]) {
			t.Errorf("%s: %s became %v", text, k, got.(map[string]any)[k])
		}
	}
}

func TestDecodeBadInput(t *testing.T) {
	long := strings.Repeat("x", 256)
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for _, tt := range []struct {
		in   string
		id   uint64
		code Code
	}{
		{``, 0, BadRequest},
		{`null`, 0, UnknownType},
		{`[]`, 0, BadRequest},
		{`{}`, 0, UnknownType},
		{`{"type":"subscribe","id":1}`, 1, BadRequest},
		{`{"type":"fly","id":7}`, 7, UnknownType},
		{`{"type":"publish","id":-1,"channel":"a","data":1}`, 0, BadRequest},
		{`{"type":"publish","id":1,"channel":"a"}`, 1, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","data":1,"binary":true}`, 1, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","data":"?","binary":true}`, 1, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","removed":true}`, 1, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","data":1,"key":"` + long + `"}`, 1, BadRequest},
		{`{"type":"publish","id":1,"channel":"` + long + `","data":1}`, 1, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","data":` + deep + `}`, 0, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","data":1} 2`, 0, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","data":1,"tags":{"a":1}}`, 1, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","data":1,"tags":{"a":"` + strings.Repeat("x", 4096) + `"}}`, 1, BadRequest},
		{`{"type":"publish","id":1,"channel":"a","data":1,"tags":{"` + strings.Repeat("x", 4096) + `":"1"}}`, 1, BadRequest},
		{`{"type":"subscribe","id":1,"channel":"a","members":-1}`, 1, BadRequest},
		{`{"type":"subscribe","id":1,"channel":"a","since":{}}`, 1, BadRequest},
		{`{"type":"subscribe","id":1,"channel":"a","since":{"epoch":"a","device":"b"}}`, 1, BadRequest},
		{`{"type":"subscribe","id":1,"channel":"a","join":true,"data":"` + strings.Repeat("x", 5000) + `"}`, 1, BadRequest},
		{`{"type":"update","id":1,"channel":"a","data":"` + strings.Repeat("x", 5000) + `"}`, 1, BadRequest},
		{`{"type":"history","id":1,"channel":"a","limit":1001}`, 1, BadRequest},
		{`{"type":"members","id":1,"channel":"a","limit":-1}`, 1, BadRequest},
		{`{"type":"snapshot","id":1,"channel":"a","limit":1001}`, 1, BadRequest},
		{`{"type":"ack","id":1,"channel":"a"}`, 1, BadRequest},
		{`{"type":"refresh","id":1}`, 1, BadRequest},
	} {
		c, err := Decode([]byte(tt.in))
		if err == nil {
			t.Errorf("%.80s: %#v", tt.in, c)
		} else if err.ID != tt.id || err.Code != tt.code || err.Type != "error" || err.Message == "" {
			t.Errorf("%.80s: %+v", tt.in, err)
		}
	}
}

func TestDecodeDefaults(t *testing.T) {
	c, err := Decode([]byte(`{"type":"members","channel":"a"}`))
	if m, ok := c.(*Members); err != nil || !ok || m.Limit != 100 {
		t.Errorf("%+v, %v", c, err)
	}
	tags := `"a":"` + strings.Repeat("x", 4094) + `","b":""`
	if _, err := Decode([]byte(`{"type":"publish","channel":"a","data":1,"tags":{` + tags + `}}`)); err != nil {
		t.Errorf("tags of 4096 bytes: %+v", err)
	}
	c, err = Decode([]byte(`{"type":"history","channel":"a"}`))
	if h, ok := c.(*History); err != nil || !ok || h.Limit != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	// A bracket in a string does not change the depth.
	text := `{"type":"publish","channel":"a","data":"` + strings.Repeat(`[{\"`, 100) + `"}`
	if _, err := Decode([]byte(text)); err != nil {
		t.Error(err)
	}
}

func TestData(t *testing.T) {
	for _, tt := range []struct {
		data   string
		binary bool
		json   string
		base64 bool
	}{
		{"", false, "", false},
		{`{"a":1}`, false, `{"a":1}`, false},
		{"plain", false, `"plain"`, false},
		{"\xff", false, `"/w=="`, true},
		{"ok", true, `"b2s="`, true},
	} {
		value, base64 := JSON([]byte(tt.data), tt.binary)
		if string(value) != tt.json || base64 != tt.base64 {
			t.Errorf("%q: %s, %v", tt.data, value, base64)
		}
		m := Message{Data: value, Binary: base64}
		if b, err := m.Bytes(); err != nil || base64 && string(b) != tt.data {
			t.Errorf("%q: back %q, %v", tt.data, b, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	doc, err := os.ReadFile("../../docs/channels-protocol.md")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(doc)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "> "); ok {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, bad := Decode(data)
		if (c == nil) != (bad != nil) {
			t.Fatalf("%v, %v", c, bad)
		}
		if bad != nil {
			if _, err := Encode(bad); err != nil {
				t.Fatal(err)
			}
			return
		}
		text, err := Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, bad := Decode(text)
		if bad != nil || !reflect.DeepEqual(HeadOf(c), HeadOf(again)) {
			t.Fatalf("%s became %s: %v", data, text, bad)
		}
	})
}
