package explain

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Comparison contains the differences between two reports, for example of a server with and without a proxy in front of it. Times,
// and the addresses of a run, are not compared.
type Comparison struct {
	// A and B are the reports.
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
		if left[i] == right[i] {
			c.Same = append(c.Same, name)
		} else {
			c.Differences = append(c.Differences, Difference{name, left[i], right[i]})
		}
	}
	return c
}

// OK reports whether both handshakes succeeded.
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
var compared = []string{"outcome", "why", "warnings", "tls", "certificate", "answer", "server", "headers", "subprotocol", "extensions", "close"}

// comparedValues returns the values for the names in compared, in order.
func comparedValues(r *Report) []string {
	v := make([]string, 0, 11)
	outcome := "did not open"
	if r.OK() {
		outcome = "opened"
	} else if r.Opened {
		outcome = "opened, and then failed"
	}
	v = append(v, outcome)
	why := ""
	if r.Diagnosis != nil {
		why = string(r.Diagnosis.ID) + ": " + r.Diagnosis.Cause
	}
	var warnings, headers []string
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
	answer := ""
	if a := r.Response; a != nil {
		answer = fmt.Sprintf("%d", a.Status)
		for _, f := range a.Header {
			headers = append(headers, strings.ToLower(f.Name))
		}
		slices.Sort(headers)
	}
	end := ""
	if c := r.Close; c != nil {
		end = fmt.Sprintf("by the %s, %s, code %d", c.By, c.How, c.Code)
	}
	return append(v, why, strings.Join(warnings, ", "), tls, certificate, answer, joined(r.Response.Value("Server"), r.Response.Value("Via")),
		strings.Join(slices.Compact(headers), ", "), r.Subprotocol, r.Extensions, end)
}
