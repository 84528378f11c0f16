package visible

import "testing"

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain, with\ttab and\nline":  "plain, with\ttab and\nline",
		"gr\u00fc\u00dfe \u4e16":      "gr\u00fc\u00dfe \u4e16",
		"\x1b[31mred":                 `\x1b[31mred`,
		"back\rspace\b\x7f":           `back\x0dspace\x08\x7f`,
		"\u0080":                      `\u0080`,
		"\u009b31m":                   `\u009b31m`,
		"abc\u202edef":                `abc\u202edef`,
		"bad \xff\xc3 byte":           `bad \xff\xc3 byte`,
		"a real \ufffd\x00":           "a real \ufffd" + `\x00`,
		"":                            "",
		"\ufeffwss://a\u200b.example": `\ufeffwss://a\u200b.example`,
		"a\u00adb\u2060c\u2064":       `a\u00adb\u2060c\u2064`,
		"\U0001f468\u200d\U0001f469":  "\U0001f468\u200d\U0001f469",
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		s    string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"éé", 3, "é…"}, {"éé", 1, "…"}, {"aéé", 2, "a…"}, {"€", 2, "…"}} {
		if got := Cut(tt.s, tt.n); got != tt.want {
			t.Errorf("%q to %d: %q, want %q", tt.s, tt.n, got, tt.want)
		}
	}
}
