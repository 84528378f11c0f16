package protocol_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/protocol"
)

// deflated returns payloads of messages that share one context.
func deflated(t *testing.T, messages ...string) (payloads [][]byte) {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		out.Reset()
		if _, err := w.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		payloads = append(payloads, bytes.Clone(bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff"))))
	}
	return payloads
}

func TestRFC7692_7_2_2_Inflater(t *testing.T) {
	long := strings.Repeat("a long message ", 10_000)
	messages := []string{"hello, hello", "hello, hello", "", long, "hello, hello"}
	f := protocol.NewInflater(0, true)
	for i, payload := range deflated(t, messages...) {
		var got []byte
		for part, err := range f.Parts(payload) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if string(got) != messages[i] {
			t.Errorf("message %d: %d bytes, want %d", i, len(got), len(messages[i]))
		}
	}
}

// A message that is not inflated completely loses the context, if there is one.
func TestInflaterLosesContext(t *testing.T) {
	long := deflated(t, strings.Repeat("a long message ", 10_000))[0]
	for name, incomplete := range map[string]func(*protocol.Inflater){
		"skipped": (*protocol.Inflater).Skip,
		"a part": func(f *protocol.Inflater) {
			for range f.Parts(long) {
				break
			}
		},
		"invalid": func(f *protocol.Inflater) {
			for _, err := range f.Parts([]byte{0x07}) {
				if err == nil || !strings.Contains(err.Error(), "RFC 1951 §3.2.3") {
					t.Errorf("a block of the reserved type: %v", err)
				}
			}
		},
	} {
		for _, takeover := range []bool{true, false} {
			f := protocol.NewInflater(0, takeover)
			incomplete(f)
			var last error
			for _, err := range f.Parts(deflated(t, "next")[0]) {
				last = errors.Join(last, err)
			}
			if f.Lost() != takeover || (last != nil) != takeover {
				t.Errorf("%s, takeover %v: lost %v, %v", name, takeover, f.Lost(), last)
			}
		}
	}
}
