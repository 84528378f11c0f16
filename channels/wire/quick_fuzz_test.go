package wire

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// FuzzQuickly checks that the hand-written decoder and encoder agree with encoding/json.
func FuzzQuickly(f *testing.F) {
	f.Add([]byte(`{"type":"subscribe","id":1,"channel":"a","since":{"epoch":"e","offset":2,"device":"d"}}`))
	f.Add([]byte(`{"type":"message","channel":"a","offset":3,"data":{"a": 1},"event":"e","user":"u","client":"c","info":[1 ]}`))
	f.Add([]byte(`{"type":"subscribed","id":1,"channel":"a","position":{"epoch":"e","offset":2},"recovered":true,"why":"x"}`))
	f.Add([]byte(`{"type":"welcome","client":"c","user":"u","expires_in":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c := decodeSubscribeFast(data); c != nil {
			if want, bad := decode(data); bad != nil || !reflect.DeepEqual(Command(c), want) {
				t.Errorf("%s: %+v, and encoding/json %+v, %v", data, c, want, bad)
			}
		}
		for _, v := range []any{&Welcome{}, &Subscribed{}, &Message{}} {
			if json.Unmarshal(data, v) != nil {
				continue
			}
			if m, ok := v.(*Message); ok {
				m.Time = m.Time.In(time.UTC)
			}
			got := encodeFast(v)
			if want, err := encode(v); got != nil && (err != nil || !bytes.Equal(got, want)) {
				t.Errorf("%+v: %s, and encoding/json %s, %v", v, got, want, err)
			}
		}
	})
}
