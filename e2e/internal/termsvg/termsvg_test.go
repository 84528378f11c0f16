package termsvg

import (
	"slices"
	"strings"
	"testing"
)

// Overwritten text is not visible, styles apply until they are reset, and the picture contains the text of the screen.
func TestScreen(t *testing.T) {
	lines, err := Screen("\x1b[1m> \x1b[0m\r\x1b[2C\r\x1b[K\x1b[32m< a&b\x1b[0m tail  \r\nx\r\n\r\n\x1b[Aback\x1b[2D!\x1b[31;2mred\r\n\x1b[J")
	if err != nil {
		t.Fatal(err)
	}
	want := []Line{{{"< a&b", Style{Color: 32}}, {" tail", Style{}}}, {{"x", Style{}}}, {{"ba!", Style{}}, {"red", Style{Dim: true, Color: 31}}}}
	if !slices.EqualFunc(lines, want, slices.Equal) {
		t.Errorf("%q", lines)
	}
	svg := SVG("a <title>", "a description", lines)
	text, err := Text(svg)
	if err != nil || !slices.Equal(text, []string{"< a&b tail", "x", "ba!red"}) {
		t.Errorf("%q, %v", text, err)
	}
	for _, part := range []string{`<title id="t">a &lt;title&gt;</title>`, `<desc id="d">a description</desc>`, `class="d c31"`, "prefers-color-scheme: dark"} {
		if !strings.Contains(svg, part) {
			t.Errorf("no %s in\n%s", part, svg)
		}
	}
}

// An unsupported escape sequence is an error.
func TestUnknown(t *testing.T) {
	for _, output := range []string{"\x1b[5m", "\x1b[38;5;1m", "\x1b[2", "\x1b[?25l", "\x1b[xC", "\a", "\x1b]0;title\a"} {
		if lines, err := Screen(output); err == nil {
			t.Errorf("%q: %q", output, lines)
		}
	}
}
