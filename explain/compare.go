package explain

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteComparison writes what differs between two reports, such as of a server with and without the proxy in front of it: a line
// for each side of each difference, and at the end what is the same. Times and addresses of this run are not compared.
func WriteComparison(w io.Writer, a, b *Report) error {
	var out bytes.Buffer
	var same []string
	fmt.Fprintf(&out, "A %s\nB %s\n\n", a.URL, b.URL)
	left, right := comparedValues(a), comparedValues(b)
	for i, name := range compared {
		if left[i] == right[i] {
			same = append(same, name)
			continue
		}
		fmt.Fprintf(&out, "%sA %s\n%sB %s\n", pad(name, 14), orNone(left[i]), pad("", 14), orNone(right[i]))
	}
	fmt.Fprintf(&out, "\nthe same: %s\n", orNone(strings.Join(same, ", ")))
	_, err := w.Write(out.Bytes())
	return err
}

// compared names what WriteComparison compares.
var compared = []string{"outcome", "why", "warnings", "tls", "certificate", "answer", "server", "headers", "subprotocol", "extensions", "close"}

// comparedValues returns the values of what compared names, in its order.
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
