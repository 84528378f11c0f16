package explain

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A duration has three digits in text, and milliseconds in JSON.
func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1234 * time.Nanosecond: "0s", 123_456 * time.Nanosecond: "120µs", 9_994_999 * time.Nanosecond: "9.99ms", 9_996_000 * time.Nanosecond: "10ms",
		10 * time.Millisecond: "10ms", 12_345_678 * time.Nanosecond: "12.3ms", 99_940_000 * time.Nanosecond: "99.9ms", 100 * time.Millisecond: "100ms",
		123_456_789 * time.Nanosecond: "123ms", 1_234_567_890 * time.Nanosecond: "1.235s",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	var d Duration
	if err := json.Unmarshal([]byte(`"1s"`), &d); err == nil || d != 0 {
		t.Errorf("%v, %v", d, err)
	}
	if err := json.Unmarshal([]byte(`1.5`), &d); err != nil || time.Duration(d) != 1500*time.Microsecond {
		t.Errorf("%v, %v", d, err)
	}
}

// Faults precede warnings. Faults, and also warnings, are in the order in which they were found.
func TestOrderOfFindings(t *testing.T) {
	findings := []Finding{{Fault: "a", Warning: true}, {Fault: "b"}, {Fault: "c", Warning: true}, {Fault: "d"}}
	tr := newTracer(t.Context(), nil)
	tr.r.Findings = findings
	var order []string
	for _, f := range tr.finish().Findings {
		order = append(order, string(f.Fault))
	}
	if got := strings.Join(order, ""); got != "bdac" {
		t.Errorf("the order of findings is %s", got)
	}
}
