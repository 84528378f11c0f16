package resume

import (
	"errors"
	"slices"
	"testing"

	"github.com/centrifugal/protocol"
)

// The iteration over a Protobuf message ends with its last byte, and does not accept an incomplete field.
func TestFields(t *testing.T) {
	type field struct {
		tag   uint64
		value string
		n     uint64
	}
	const last = "\x22\x01x" // field 4, one byte
	for message, want := range map[string][]field{
		"":                    {},
		"\x18\x96\x01" + last: {{0x18, "", 150}, {0x22, "x", 0}},
		"\x19\x01\x02\x03\x04\x05\x06\x07\x08" + last: {{0x19, "", 0}, {0x22, "x", 0}},
		"\x1d\x01\x02\x03\x04" + last:                 {{0x1d, "", 0}, {0x22, "x", 0}},
		"\x1a\x00" + last:                             {{0x1a, "", 0}, {0x22, "x", 0}},
		last + "\x19\x01\x02\x03\x04\x05\x06\x07\x08": {{0x22, "x", 0}, {0x19, "", 0}},
		last + "\x1d\x01\x02\x03\x04":                 {{0x22, "x", 0}, {0x1d, "", 0}},
		"\x80":                                        nil, // an incomplete tag
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02":    nil, // a tag with more than 64 bits
		"\x18":                             nil,
		"\x18\x80":                         nil,
		"\x19\x01\x02\x03\x04\x05\x06\x07": nil,
		"\x1d\x01\x02\x03":                 nil,
		"\x1a":                             nil,
		"\x1a\x02x":                        nil,
		"\x1b":                             nil, // a group
	} {
		got := []field{}
		ok := fields([]byte(message), func(tag uint64, value []byte, n uint64) bool {
			got = append(got, field{tag, string(value), n})
			return true
		})
		if ok != (want != nil) || ok && !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v, want %v", message, got, ok, want)
		}
	}
	if fields([]byte(last), func(uint64, []byte, uint64) bool { return false }) {
		t.Error("fields returned true, although the function has returned false")
	}
}

// The connection cannot continue on a server whose reply to connect differs from the previous one: each difference alone is enough.
func TestReconnectedDiffers(t *testing.T) {
	answer := func(client string) *protocol.ConnectResult {
		return &protocol.ConnectResult{Client: client, Version: "1", Ping: 25, Pong: true}
	}
	for name, change := range map[string]func(*protocol.ConnectResult){
		"same":         func(*protocol.ConnectResult) {},
		"version":      func(r *protocol.ConnectResult) { r.Version = "2" },
		"flag":         func(r *protocol.ConnectResult) { r.Flag = 1 },
		"dictionary":   func(r *protocol.ConnectResult) { r.Dict = &protocol.Dictionary{} },
		"no client":    func(r *protocol.ConnectResult) { r.Client = "" },
		"ping":         func(r *protocol.ConnectResult) { r.Ping = 20 },
		"pong":         func(r *protocol.ConnectResult) { r.Pong = false },
		"expires":      func(r *protocol.ConnectResult) { r.Expires, r.Ttl = true, 5 },
		"subscription": func(r *protocol.ConnectResult) { r.Subs = map[string]*protocol.SubscribeResult{"a": {}} },
	} {
		t.Run(name, func(t *testing.T) {
			f := format{binary: true}
			s := New("centrifuge-protobuf", "", Options{})
			reply := func(id uint32, r *protocol.ConnectResult) error {
				text, err := f.encodeReply(&protocol.Reply{Id: id, Connect: r})
				if err != nil {
					t.Fatal(err)
				}
				_, _, err = s.Server(f.message(text))
				return err
			}
			text, err := f.encodeCommand(&protocol.Command{Id: 1, Connect: &protocol.ConnectRequest{}})
			if err != nil {
				t.Fatal(err)
			}
			s.Client(f.message(text))
			if err := reply(1, answer("AAAA")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Resume(); err != nil {
				t.Fatal(err)
			}
			second := answer("BBBB")
			change(second)
			want := error(nil)
			if name != "same" && name != "version" {
				want = ErrRefused
			}
			if err := reply(firstOwnIDCentrifugo, second); !errors.Is(err, want) {
				t.Errorf("another %s: got %v, want %v", name, err, want)
			}
		})
	}
}
