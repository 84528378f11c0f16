package handshake

import (
	"slices"
	"strings"
	"testing"
)

func TestRFC7239_4_Forwarded(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  []hop // nil means an error
	}{
		{nil, []hop{}},
		{[]string{"for=192.0.2.60;proto=http;by=203.0.113.43"}, []hop{{For: "192.0.2.60", Proto: "http"}}},
		{[]string{`For="[2001:db8:cafe::17]:4711"`}, []hop{{For: "[2001:db8:cafe::17]:4711"}}},
		{[]string{"for=192.0.2.43, for=198.51.100.17"}, []hop{{For: "192.0.2.43"}, {For: "198.51.100.17"}}},
		{[]string{"for=a", "proto=HTTPS; host=\"x:1\""}, []hop{{For: "a"}, {Proto: "HTTPS", Host: "x:1"}}},
		{[]string{`host="a\"b"`}, []hop{{Host: `a"b`}}},
		{[]string{";;for=a;,"}, []hop{{For: "a"}}},
		{[]string{" , for=a , , for=b ,\t", " "}, []hop{{For: "a"}, {For: "b"}}}, // RFC 9110 §5.6.1.2: empty elements are ignored
		{[]string{"unknown=x"}, []hop{{}}},
		{[]string{"for"}, nil},
		{[]string{"for="}, nil},
		{[]string{"for=a b"}, nil},
		{[]string{`for="a`}, nil},
		{[]string{"for=a;for=b"}, nil},
		{[]string{"host=x:1"}, nil}, // a colon must be quoted
		{[]string{"for=a; proto=http;\x00"}, nil},
		{[]string{strings.Repeat("for=a,", maxHops+1)}, nil},
	} {
		hops, err := parseForwarded(tt.lines)
		if (err != nil) != (tt.want == nil) || err == nil && !slices.Equal(hops, tt.want) {
			t.Errorf("parseForwarded(%q) = %q, %v", tt.lines, hops, err)
		}
	}
}

func FuzzParseForwarded(f *testing.F) {
	f.Add(`for=192.0.2.60;proto=http;by=203.0.113.43, for="[::1]:1";host="x:1"`)
	f.Add("for=a;;,proto=https")
	f.Add(`host="a\"b"`)
	f.Fuzz(func(t *testing.T, s string) {
		hops, err := parseForwarded([]string{s})
		if err != nil {
			return
		}
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		var parts []string
		for _, h := range hops {
			parts = append(parts, `for="`+quote.Replace(h.For)+`";proto="`+quote.Replace(h.Proto)+`";host="`+quote.Replace(h.Host)+`"`)
		}
		text := strings.Join(parts, ", ")
		again, err := parseForwarded([]string{text})
		if err != nil || !slices.Equal(again, hops) {
			t.Errorf("%q became %q, and that %q (%v)", s, text, again, err)
		}
	})
}
