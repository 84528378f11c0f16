package wire

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The hand-written decoder agrees with encoding/json on subscriptions, and on subscriptions with random changes.
func TestDecodeSubscribeFast(t *testing.T) {
	read := 0
	try := func(text string) {
		c := decodeSubscribeFast([]byte(text))
		if c == nil {
			return
		}
		read++
		want, bad := decode([]byte(text))
		if bad != nil || !reflect.DeepEqual(want, Command(c)) {
			t.Fatalf("%q: %+v, not %+v, %v", text, c, want, bad)
		}
	}
	all := []string{
		`{"type":"subscribe","id":1,"channel":"news","since":{"epoch":"e1","offset":12}}`,
		"\t{ \"type\" :\r\"subscribe\" , \"channel\" : \"a\" ,\n\"since\": {\"device\":\"phone\"} } \n",
		`{"channel":"a","id":18446744073709551615,"type":"subscribe"}`,
		`{"channel":"a","id":9999999999999999999,"type":"subscribe"}`,
		`{"channel":"` + strings.Repeat("x", maxName) + `","type":"subscribe"}`,
	}
	for _, text := range all {
		try(text)
	}
	if read != 4 { // the largest number is left to encoding/json
		t.Errorf("%d of these messages were decoded without encoding/json", read)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const bytes = `"{}[]:,\ 0123456789.-+eEtypeidchanelsincepochofsetrunul` + "\x00\x1f\x7f\xc3\xa4\n"
	for range 200_000 {
		b := []byte(all[random.IntN(len(all))])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(b))
			switch c := bytes[random.IntN(len(bytes))]; random.IntN(3) {
			case 0:
				b[at] = c
			case 1:
				b = append(b[:at], b[at+1:]...)
			default:
				b = append(b[:at], append([]byte{c}, b[at:]...)...)
			}
		}
		try(string(b))
	}
	if read < 10_000 {
		t.Errorf("only %d messages were decoded without encoding/json", read)
	}
}

// The hand-written decoder leaves unusual subscriptions, other commands and invalid input to encoding/json.
func TestDecodeSubscribeFastDeclines(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{}`, `null`, `{"type":"subscribe","channel":"a"} 1`, `{"type":"subscribe","channel":"a"`, `{"type":"publish","channel":"a"}`,
		`{"type":"subscribe","channel":"\u0061"}`, `{"type":"subscribe","channel":"ä"}`, `{"type":"subscribe","Channel":"a"}`,
		`{"type":"subscribe","channel":"a","channel":"b"}`, `{"type":"subscribe","channel":"a","id":01}`, `{"type":"subscribe","channel":"a","id":1e1}`,
		`{"type":"subscribe","channel":"a","id":null}`, `{"type":"subscribe","channel":"a","since":null}`, `{"type":"subscribe","channel":"a","since":{}}`,
		`{"type":"subscribe","channel":"a","since":{"epoch":"a","device":"b"}}`, `{"type":"subscribe","channel":"a","join":true}`,
		`{"type":"subscribe","channel":"` + strings.Repeat("x", maxName+1) + `"}`, `{"type":"subscribe","channel":""}`,
	} {
		if c := decodeSubscribeFast([]byte(text)); c != nil {
			t.Errorf("%s: %+v", text, c)
		}
	}
}

// The hand-written encoder produces the same output as encoding/json.
func TestEncodeFast(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	text := func() string {
		return []string{"", "a", "a b", "news/2", `"`, `\`, "<&>", "ä", "\x00", "\x7f", "\xff", "\u2028"}[random.IntN(12)]
	}
	raw := func() json.RawMessage {
		return json.RawMessage([]string{"", `"a"`, ` {"a": [1, "b c", "<"]}`, `{`, "1 2", "null", "\"\u2028\"", "\"\xff\""}[random.IntN(8)])
	}
	number := func() uint64 { return []uint64{0, 1, 1<<64 - 1}[random.IntN(3)] }
	yes := func() bool { return random.IntN(2) == 0 }
	at := func() time.Time {
		t := time.Unix(int64(random.IntN(1<<31)), int64(random.IntN(1000))*1e6)
		return []time.Time{{}, t.UTC(), t.UTC().Truncate(time.Second), t.In(time.FixedZone("x", 3600)), t.UTC().AddDate(9000, 0, 0)}[random.IntN(5)]
	}
	written := 0
	for range 50_000 {
		for _, m := range []any{
			&Welcome{Type: "welcome", Client: text(), User: text(), ExpiresIn: int64(random.IntN(3)) - 1},
			&Subscribed{Type: "subscribed", ID: number(), Channel: text(), Position: Position{text(), number()}, Why: GapReason(text()),
				Recovered: []*bool{nil, new(bool), new(yes())}[random.IntN(3)], Users: random.IntN(2), Members: make([]Member, random.IntN(2)), Next: text()},
			&Message{Type: "message", Channel: text(), Offset: number(), Data: raw(), Binary: yes(), Event: text(), Key: text(), Removed: yes(),
				Tags: []map[string]string{nil, {"a": "b"}}[random.IntN(2)], User: text(), Client: text(), Info: raw(), Time: at()},
		} {
			got := encodeFast(m)
			if got == nil {
				continue
			}
			written++
			if want, err := encode(m); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s\nnot %s, %v", got, want, err)
			}
		}
	}
	if written < 5_000 {
		t.Errorf("only %d messages were encoded without encoding/json", written)
	}
	if encodeFast(&Error{}) != nil {
		t.Error("an Error was encoded without encoding/json")
	}
}

func BenchmarkDecodeSubscribe(b *testing.B) {
	text := []byte(`{"type":"subscribe","id":1,"channel":"storm-77","since":{"epoch":"ABCDEFGH1","offset":12}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeSubscribed(b *testing.B) {
	recovered := true
	m := &Subscribed{Type: "subscribed", ID: 1, Channel: "storm-77", Position: Position{"ABCDEFGH1", 12}, Recovered: &recovered}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Encode(m); err != nil {
			b.Fatal(err)
		}
	}
}
