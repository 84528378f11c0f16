package header

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestEqualFold_ASCIIOnly(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"websocket", "WebSocket", true},
		{"", "", true},
		{"AMZamz", "amzAMZ", true},
		{"websocket", "web\u017focket", false}, // long s
		{"\u212a", "k", false},                 // Kelvin sign
		{"k\u017f", "ks", false},
		{"[", "{", false},
		{"@", "`", false},
		{"a", "ab", false},
	} {
		if got := EqualFold(tt.a, tt.b); got != tt.want {
			t.Errorf("EqualFold(%q, %q) = %v", tt.a, tt.b, got)
		}
		if got := Lower(tt.a) == Lower(tt.b); got != tt.want {
			t.Errorf("Lower(%q) == Lower(%q) is %v", tt.a, tt.b, got)
		}
	}
}

func TestRFC7230_3_2_6_Token(t *testing.T) {
	for c := range 256 {
		s := string([]byte{byte(c)})
		want := c > ' ' && c < 0x7f && !slices.Contains([]byte(`"(),/:;<=>?@[\]{}`), byte(c))
		if IsToken(s) != want {
			t.Errorf("IsToken(%q) = %v", s, !want)
		}
	}
	if IsToken("") || IsToken("a b") || !IsToken("permessage-deflate") {
		t.Error("IsToken accepts an empty string or a space, or rejects a token")
	}
}

func TestRFC9110_5_5_Value(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "a b\tc": true, "caf\xe9": true, "\xc3\xa4": true,
		"a\r\nX: y": false, "a\nb": false, "a\rb": false, "a\x00b": false, "\x7f": false, " a": false, "a\t": false,
	} {
		if IsValue(s) != want {
			t.Errorf("IsValue(%q) = %v", s, !want)
		}
	}
}

func TestHasToken(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"Upgrade"}, true},
		{[]string{"keep-alive, Upgrade"}, true},
		{[]string{"keep-alive", "UPGRADE"}, true},
		{[]string{", ,upgrade\t,,"}, true},
		{[]string{"keep-alive Upgrade"}, false},
		{[]string{"Upgrade-Insecure"}, false},
		{[]string{"Upgrade/1"}, false},
		{[]string{"h2c/1, upgrade"}, true},
		{[]string{`"a, upgrade, b"`}, false}, // a quoted string is not a token, and its content is not parsed
		{[]string{"upgrade;q=1"}, false},
		{[]string{"upgrade, a/"}, false},
		{[]string{"upgrade\v"}, false}, // only spaces and tabs are trimmed
	} {
		if got := HasToken(tt.lines, "upgrade"); got != tt.want {
			t.Errorf("HasToken(%q) = %v", tt.lines, got)
		}
	}
}

func TestIsTokenList(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{" , "}, false},
		{[]string{"chat"}, true},
		{[]string{"", ",chat,"}, true},
		{[]string{"chat", "(super)"}, false},
		{[]string{"ch\xe4t"}, false},
		{[]string{"a b"}, false},
	} {
		if got := IsTokenList(tt.lines); got != tt.want {
			t.Errorf("IsTokenList(%q) = %v", tt.lines, got)
		}
	}
	if !Contains([]string{"foo", "chat , Super"}, "Super") || Contains([]string{"Super"}, "super") {
		t.Error("Contains ignores case")
	}
}

// Joining lines with a comma does not change the result: they are one list (RFC 9110 §5.3). The case of the token does not matter
// either.
func FuzzTokenList(f *testing.F) {
	for _, s := range []string{"keep-alive, Upgrade", "Upgrade\nkeep-alive", `"a, upgrade"`, ",,", "h2c/1, upgrade", "web\u017focket"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines, joined := strings.Split(s, "\n"), []string{strings.ReplaceAll(s, "\n", ",")}
		if HasToken(lines, "upgrade") != HasToken(joined, "UPGRADE") {
			t.Errorf("%q: HasToken depends on the lines", s)
		}
		if HasToken(lines, "upgrade") && !strings.Contains(strings.ToLower(s), "upgrade") {
			t.Errorf("%q has no such token", s)
		}
		if IsTokenList(lines) != IsTokenList(joined) {
			t.Errorf("%q: IsTokenList depends on the lines", s)
		}
		if !IsTokenList(lines) {
			return
		}
		var list []string
		for e := range Elements(lines) {
			if !IsToken(e) || !Contains(joined, e) || !HasToken(lines, e) {
				t.Errorf("%q: the element %q is not a token, or not found", s, e)
			}
			list = append(list, e)
		}
		var again []string
		for e := range Elements([]string{strings.Join(list, ", ")}) {
			again = append(again, e)
		}
		if !reflect.DeepEqual(list, again) {
			t.Errorf("%q: %q became %q", s, list, again)
		}
	})
}
