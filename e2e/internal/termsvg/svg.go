package termsvg

import (
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"strings"
	"unicode/utf8"
)

// The dimensions of a picture, in pixels.
const (
	cellWidth  = 8.4
	lineHeight = 20
	margin     = 16
)

// sheet contains the colors of both modes. Each color has a contrast of at least 4.5 to 1 with its background.
const sheet = `
    svg { --bg: #f6f8fa; --fg: #1f2328; --dim: #59636e; --c31: #c5221f; --c32: #116329; --c33: #7d4e00; --c34: #0550ae; --c35: #8250df; --c36: #0b6678; }
    @media (prefers-color-scheme: dark) {
      svg { --bg: #0d1117; --fg: #e6edf3; --dim: #9198a1; --c31: #ff7b72; --c32: #56d364; --c33: #e3b341; --c34: #79c0ff; --c35: #d2a8ff; --c36: #56d4dd; }
    }
    rect { fill: var(--bg); }
    text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: var(--fg); white-space: pre; }
    .b { font-weight: bold; } .d { fill: var(--dim); }
    .c31 { fill: var(--c31); } .c32 { fill: var(--c32); } .c33 { fill: var(--c33); } .c34 { fill: var(--c34); } .c35 { fill: var(--c35); } .c36 { fill: var(--c36); }
`

// SVG returns a picture of lines, with a title and a description.
func SVG(title, description string, lines []Line) string {
	width := 0
	for _, l := range lines {
		width = max(width, utf8.RuneCountInString(l.String()))
	}
	w, h := float64(width)*cellWidth+2*margin, len(lines)*lineHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %d\" width=\"%.0f\" height=\"%d\" role=\"img\" aria-labelledby=\"t d\">\n", w, h, w, h)
	fmt.Fprintf(&b, "  <title id=\"t\">%s</title>\n  <desc id=\"d\">%s</desc>\n  <style>%s  </style>\n", html.EscapeString(title), html.EscapeString(description), sheet)
	b.WriteString("  <rect width=\"100%\" height=\"100%\" rx=\"6\"/>\n")
	for i, l := range lines {
		fmt.Fprintf(&b, "  <text y=\"%d\">", margin+i*lineHeight+14)
		column := 0
		for _, s := range l {
			n := utf8.RuneCountInString(s.Text)
			fmt.Fprintf(&b, "<tspan x=\"%.1f\" textLength=\"%.1f\"%s>%s</tspan>", margin+float64(column)*cellWidth, float64(n)*cellWidth, class(s.Style), html.EscapeString(s.Text))
			column += n
		}
		b.WriteString("</text>\n")
	}
	return b.String() + "</svg>\n"
}

func class(s Style) string {
	var all []string
	if s.Bold {
		all = append(all, "b")
	}
	if s.Dim {
		all = append(all, "d")
	}
	if s.Color != 0 {
		all = append(all, fmt.Sprintf("c%d", s.Color))
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(" class=%q", strings.Join(all, " "))
}

// Text returns the text of each line of a picture.
func Text(svg string) ([]string, error) {
	var lines []string
	inside := false
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "text" {
				inside = true
				lines = append(lines, "")
			}
		case xml.EndElement:
			inside = inside && token.Name.Local != "text"
		case xml.CharData:
			if inside {
				lines[len(lines)-1] += string(token)
			}
		}
	}
}
