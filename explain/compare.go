package explain

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/handfast/handfast/internal/visible"
)

// Comparison contains the differences between two reports, for example of a server with and without a proxy in front of it. Times and
// addresses are not compared. Only the names of most header fields are compared, because many values, such as that of Date, always
// differ.
type Comparison struct {
	// A and B are the compared reports.
	A           *Report      `json:"a"`
	B           *Report      `json:"b"`
	Differences []Difference `json:"differences"`
	Same        []string     `json:"same"` // the names of the values that are equal
}

// Difference is a value that differs between two reports; "" means that a report does not contain it.
type Difference struct {
	// Name is the name of the value, and A and B are its values in the two reports.
	Name string `json:"name"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// Compare compares two reports.
func Compare(a, b *Report) *Comparison {
	c := &Comparison{A: a, B: b, Differences: []Difference{}, Same: []string{}}
	left, right := comparedValues(a), comparedValues(b)
	for i, name := range compared {
		switch d := (Difference{name, left[i], right[i]}); {
		case d.A == d.B:
			c.Same = append(c.Same, name)
		case name == body:
			d.A, d.B = fromDifference(d.A, d.B)
			fallthrough
		default:
			c.Differences = append(c.Differences, d)
		}
	}
	return c
}

// OK reports whether both reports are OK.
func (c *Comparison) OK() bool { return c.A.OK() && c.B.OK() }

// WriteText writes one line for each side of each difference, and then the names of the equal values.
func (c *Comparison) WriteText(w io.Writer) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "A %s\nB %s\n\n", c.A.URL, c.B.URL)
	for _, d := range c.Differences {
		fmt.Fprintf(&out, "%sA %s\n%sB %s\n", pad(d.Name, 14), orNone(d.A), pad("", 14), orNone(d.B))
	}
	fmt.Fprintf(&out, "\nthe same: %s\n", orNone(strings.Join(c.Same, ", ")))
	_, err := w.Write(out.Bytes())
	return err
}

// compared lists the names of the values that Compare compares.
var compared = []string{
	"outcome", "why", "warnings", "tls", "certificate", "answer", "reason", "location", "challenges", "versions", "server", "headers",
	"subprotocol", "extensions", body, "close",
}

// body is the name of the body among the compared values.
const body = "body"

// comparedValues returns the values for the names in compared, in the same order. They contain no secrets, because r contains none.
func comparedValues(r *Report) []string {
	outcome := "did not open"
	if r.OK() {
		outcome = "opened"
	} else if r.Opened {
		outcome = "opened, and then failed"
	}
	why := ""
	if r.Diagnosis != nil {
		why = string(r.Diagnosis.ID) + ": " + r.Diagnosis.Cause
	}
	var warnings []string
	for _, d := range r.Warnings {
		warnings = append(warnings, string(d.ID))
	}
	tls, certificate := "", ""
	if r.TLS != nil {
		tls = r.TLS.Version
		if len(r.TLS.Chain) > 0 {
			certificate = r.TLS.Chain[0].SHA256
		}
	}
	end := ""
	if c := r.Close; c != nil {
		end = fmt.Sprintf("by the %s, %s, code %d", c.By, c.How, c.Code)
	}
	v := append([]string{outcome, why, strings.Join(warnings, ", "), tls, certificate}, answerValues(r.Response)...)
	text := ""
	if r.Response != nil {
		text = strings.TrimSpace(r.Response.Body)
	}
	return append(v, r.Subprotocol, r.Extensions, text, end)
}

// answerValues returns the values for the names in compared from "answer" to "headers".
func answerValues(a *Response) []string {
	status, reason := "", ""
	var headers []string
	if a != nil {
		status, reason = strconv.Itoa(a.Status), a.Reason
		for _, f := range a.Header {
			headers = append(headers, strings.ToLower(f.Name))
		}
		slices.Sort(headers)
	}
	list := func(name string) string { return strings.Join(a.Values(name), ", ") }
	return []string{
		status, reason, list("Location"), list("WWW-Authenticate"), list("Sec-WebSocket-Version"),
		joined(a.Value("Server"), a.Value("Via")), strings.Join(slices.Compact(headers), ", "),
	}
}

const (
	quotedBody = 160 // maximum number of bytes of each body that are quoted
	quotedLead = 24  // number of quoted bytes before the first difference
)

// fromDifference returns parts of a and b that begin shortly before the first difference.
func fromDifference(a, b string) (partA, partB string) {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	start := max(n-quotedLead, 0)
	for start > 0 && !utf8.RuneStart(a[start]) {
		start--
	}
	part := func(s string) string {
		mark := ""
		if start > 0 {
			mark = "…"
		}
		return mark + visible.Cut(oneLine(s[start:]), quotedBody)
	}
	return part(a), part(b)
}
