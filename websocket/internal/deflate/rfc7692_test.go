package deflate

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The payloads of RFC 7692 §7.2.3, and others that a conforming peer may send. Each row is one connection.
var conforming = []struct {
	name     string
	takeover bool
	payloads []string
	want     []string
}{
	{"7.2.3.1 one block", false, []string{"f2 48 cd c9 c9 07 00"}, []string{"Hello"}},
	{"7.2.3.2 without context", false, []string{"f2 48 cd c9 c9 07 00", "f2 48 cd c9 c9 07 00"}, []string{"Hello", "Hello"}},
	{"7.2.3.2 sharing the window", true, []string{"f2 48 cd c9 c9 07 00", "f2 00 11 00 00"}, []string{"Hello", "Hello"}},
	{"7.2.3.3 no compression", false, []string{"00 05 00 fa ff 48 65 6c 6c 6f 00"}, []string{"Hello"}},
	{"7.2.3.4 BFINAL", false, []string{"f3 48 cd c9 c9 07 00 00"}, []string{"Hello"}},
	{"7.2.3.4 BFINAL, context kept", true, []string{"f3 48 cd c9 c9 07 00 00", "f2 00 11 00 00"}, []string{"Hello", "Hello"}},
	{"BFINAL and nothing after it", false, []string{"f3 48 cd c9 c9 07 00"}, []string{"Hello"}},
	{"BFINAL and blocks after it", false, []string{"f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00"}, []string{"HelloHello"}},
	{"BFINAL on a stored block", false, []string{"01 05 00 fa ff 48 65 6c 6c 6f"}, []string{"Hello"}},
	{"BFINAL on a stored block, then an empty one", false, []string{"01 05 00 fa ff 48 65 6c 6c 6f 00"}, []string{"Hello"}},
	{"7.2.3.5 two blocks", false, []string{"f2 48 05 00 00 00 ff ff ca c9 c9 07 00"}, []string{"Hello"}},
	{"7.2.3.6 empty", false, []string{"00"}, []string{""}},
	{"no byte at all", false, []string{""}, []string{""}},
	{"empty between", true, []string{"f2 48 cd c9 c9 07 00", "00", "f2 00 11 00 00"}, []string{"Hello", "", "Hello"}},
	{"empty fixed block", false, []string{"02 00"}, []string{""}},
}

func TestRFC7692_7_2_3_Examples(t *testing.T) {
	for _, c := range conforming {
		t.Run(c.name, func(t *testing.T) {
			whole := Decompressor{Window: Window{Takeover: c.takeover}}
			stream := Decompressor{Window: Window{Takeover: c.takeover}}
			for i, p := range c.payloads {
				got, err := whole.Append([]byte("> "), unhex(t, p), 100)
				if err != nil || string(got) != "> "+c.want[i] {
					t.Errorf("Append, message %d: %q, %v", i, got, err)
				}
				got, err = io.ReadAll(stream.Reader(bytes.NewReader(unhex(t, p)), 100))
				if err != nil || string(got) != c.want[i] {
					t.Errorf("Reader, message %d: %q, %v", i, got, err)
				}
			}
		})
	}
}

func TestRFC7692_7_2_1_Compress(t *testing.T) {
	tests := []struct {
		name     string
		takeover bool
		messages []string
		want     []string
	}{
		{"7.2.3.1", false, []string{"Hello", "Hello"}, []string{"f2 48 cd c9 c9 07 00", "f2 48 cd c9 c9 07 00"}},
		{"takeover", true, []string{"Hello", "Hello"}, []string{"f2 48 cd c9 c9 07 00", "02 13 00 00"}},
		{"7.2.3.6", false, []string{""}, []string{"00"}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			z := Compressor{Window: Window{Takeover: c.takeover}}
			for i, m := range c.messages {
				if got := z.Append(nil, []byte(m)); !bytes.Equal(got, unhex(t, c.want[i])) {
					t.Errorf("message %d: % x, want %s", i, got, c.want[i])
				}
			}
		})
	}
}
