package handshake

import (
	"reflect"
	"strings"
	"testing"

	"github.com/handfast/handfast/websocket/internal/header"
)

func TestRFC6455_9_1_Extensions(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string // formatted; "" means an error
	}{
		{[]string{"foo"}, "foo"},
		{[]string{"foo, bar; baz=2"}, "foo, bar; baz=2"},
		{[]string{"foo", "bar; baz=2"}, "foo, bar; baz=2"},
		{[]string{"deflate-stream"}, "deflate-stream"},
		{[]string{`a; b="c"; d`}, "a; b=c; d"},
		{[]string{`a; b="1\0"`}, "a; b=10"}, // an escaped character stands for itself
		{[]string{"a;b=c ; d = e\t,f"}, "a; b=c; d=e, f"},
		{[]string{",a,, b,"}, "a, b"}, // empty elements (RFC 9110 §5.6.1.2)
		{[]string{"", "a"}, "a"},
		{[]string{"a; b="}, "a; b="}, // left to the caller to reject
		{[]string{"a; b= ,c"}, "a; b=, c"},
		{[]string{"mux; max-channels=4; flow-control, deflate-stream"}, "mux; max-channels=4; flow-control, deflate-stream"},

		{nil, ""},
		{[]string{""}, ""},
		{[]string{","}, ""},
		{[]string{";"}, ""},
		{[]string{"a;"}, ""},
		{[]string{"a;;b"}, ""},
		{[]string{";a"}, ""},
		{[]string{"a b"}, ""},
		{[]string{"a=b"}, ""},
		{[]string{"a; =b"}, ""},
		{[]string{"a; b c"}, ""},
		{[]string{"a; b=c d"}, ""},
		{[]string{`a; b="c`}, ""},
		{[]string{`a; b="c\`}, ""},
		{[]string{`a; b=""`}, ""},
		{[]string{`a; b="c d"`}, ""},
		{[]string{`a; b="c,d"`}, ""},
		{[]string{`a; b="c"d`}, ""},
		{[]string{`"a"`}, ""},
		{[]string{"per\xe9"}, ""},
		{[]string{"a\x00b"}, ""},
		{[]string{"a", "b;"}, ""},
		{[]string{"a; b=\"c\nd\""}, ""},
	} {
		list, err := ParseExtensions(tt.lines)
		if got := FormatExtensions(list); (err != nil) != (tt.want == "") || got != tt.want {
			t.Errorf("ParseExtensions(%q) = %q, %v; want %q", tt.lines, got, err, tt.want)
		}
	}
}

func TestParseExtensions_Bounds(t *testing.T) {
	many := strings.Repeat("a,", maxExtensions)
	if list, err := ParseExtensions([]string{many}); err != nil || len(list) != maxExtensions {
		t.Errorf("%d extensions: %v", maxExtensions, err)
	}
	if _, err := ParseExtensions([]string{many + "a"}); err == nil {
		t.Error("one extension too many is accepted")
	}
	params := "a" + strings.Repeat(";b", maxParams)
	if _, err := ParseExtensions([]string{params}); err != nil {
		t.Errorf("%d parameters: %v", maxParams, err)
	}
	if _, err := ParseExtensions([]string{params + ";b"}); err == nil {
		t.Error("one parameter too many is accepted")
	}
}

// Parsing, formatting and parsing again gives the same result.
func FuzzParseExtensions(f *testing.F) {
	for _, s := range []string{
		"permessage-deflate; client_max_window_bits", `a; b="1\0", c`, "a;b=c ; d = e\t,f", "a; b=", ",", `a; b="`, "foo\nbar; baz=2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseExtensions(strings.Split(s, "\n"))
		if err != nil {
			return
		}
		if len(list) == 0 {
			t.Fatal("neither an extension nor an error")
		}
		for _, e := range list {
			if !header.IsToken(e.Name) {
				t.Errorf("the name %q is not a token", e.Name)
			}
			for _, p := range e.Params {
				if !header.IsToken(p.Name) || p.Value != "" && (!header.IsToken(p.Value) || !p.HasValue) {
					t.Errorf("a bad parameter: %+v", p)
				}
			}
		}
		text := FormatExtensions(list)
		again, err := ParseExtensions([]string{text})
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Errorf("%q became %q, and that %q (%v)", s, text, FormatExtensions(again), err)
		}
	})
}

// The limit on parameters applies to each extension separately.
func TestParseExtensions_Parameters(t *testing.T) {
	for n, ok := range map[int]bool{0: true, 1: true, maxParams: true, maxParams + 1: false} {
		list, err := ParseExtensions([]string{"a; x=1; y=2, b" + strings.Repeat("; p", n)})
		if (err == nil) != ok || ok && (len(list) != 2 || len(list[0].Params) != 2 || len(list[1].Params) != n || (list[1].Params == nil) != (n == 0)) {
			t.Errorf("%d parameters of the second: %v, %v", n, list, err)
		}
	}
}
