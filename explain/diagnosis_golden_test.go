package explain_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/explain/internal/faults"
)

// reports collects the text of the report about each server.
type reports struct {
	mu    sync.Mutex
	texts map[string]string // keyed by the server's name
}

func (all *reports) add(t *testing.T, f faults.Fault, r *explain.Report) {
	t.Helper()
	var text bytes.Buffer
	fmt.Fprintf(&text, "== %s: %s\n", f.ID, f.Name)
	r = steady(t, r)
	if err := r.WriteText(&text, nil); err != nil {
		t.Fatal(err)
	}
	text.WriteString(rest(t, r))
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.texts == nil {
		all.texts = map[string]string{}
	}
	all.texts[f.Name] = text.String()
}

// compare compares the reports about each family of faults with a file in testdata/faults. The files contain error texts of Linux, so
// other systems are skipped.
func (all *reports) compare(t *testing.T) {
	t.Helper()
	if len(all.texts) != len(faults.All()) || runtime.GOOS != "linux" {
		return // some reports are missing, with -run or after a failure
	}
	var order []string
	files := map[string]string{}
	for _, f := range faults.All() {
		if files[f.Family] == "" {
			order = append(order, f.Family)
		}
		files[f.Family] += all.texts[f.Name] + "\n"
	}
	for _, family := range order {
		explain.Golden(t, "faults/"+family+".txt", abbreviate(files[family]))
	}
}

var block = regexp.MustCompile(`(?m)^(?:[✓✗!=]|json:)`)

// abbreviate shortens each block or line of JSON that was written before to its beginning. Most blocks are the same for most servers.
func abbreviate(text string) string {
	var out strings.Builder
	seen := map[string]bool{}
	add := func(part, short string) {
		if seen[part] && len(short) < len(part) {
			part = short + " … as before\n"
		}
		seen[part] = true
		out.WriteString(part)
	}
	at := block.FindAllStringIndex(text, -1)
	for i, from := range at {
		to := len(text)
		if i+1 < len(at) {
			to = at[i+1][0]
		}
		part := text[from[0]:to]
		if strings.HasPrefix(part, "json:") {
			for line := range strings.Lines(part) {
				add(line, line[:min(len(line), 20)])
			}
			continue
		}
		first, _, _ := strings.Cut(part, "\n")
		add(part, first)
	}
	return out.String()
}

// rest returns the fields of r's JSON form that are not part of the text, one per line. From the steps, it returns only the frames.
func rest(t *testing.T, r *explain.Report) string {
	t.Helper()
	lines := []string{"json:"}
	add := func(name string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, name+" "+string(b))
	}
	v := reflect.ValueOf(*r)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		switch {
		case slices.Contains([]string{"started", "duration_ms", "diagnosis", "warnings"}, name) || v.Field(i).IsZero():
		case name == "steps":
			for _, s := range r.Steps {
				if s.Frames != nil {
					add("frames of "+string(s.Stage), s.Frames)
				}
			}
		default:
			add(name, v.Field(i).Interface())
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// someTime replaces times that depend on when the test runs.
var someTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// unsteady matches text that differs between runs, with the text that replaces it.
var unsteady = []struct {
	re   *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms)|\b\d+\.\d+s\b|\b[0-9]s\b`), "1ms"},
	{regexp.MustCompile(`\b20[234]\d-\d\d-\d\d\b`), "2026-01-02"},
	{regexp.MustCompile(`\b\w{3}, \d\d \w{3} 20[234]\d \d\d:\d\d:\d\d GMT`), "Fri, 02 Jan 2026 03:04:05 GMT"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), strings.Repeat("5a", 32)},
	{regexp.MustCompile(`a{20,}`), "a…a"},
	{regexp.MustCompile(`\bTLS_(AES|CHACHA)\w+`), "TLS_AES_128_GCM_SHA256"},
}

// steady returns a copy of r in which constants replace the values that differ between runs, such as times and ports. It modifies r.
func steady(t *testing.T, r *explain.Report) *explain.Report {
	t.Helper()
	fixTimes(reflect.ValueOf(r))
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, u := range unsteady {
		text = u.re.ReplaceAllString(text, u.with)
	}
	ports := map[string]string{}
	text = ephemeral.ReplaceAllStringFunc(text, func(port string) string {
		if ports[port] == "" {
			ports[port] = strconv.Itoa(40001 + len(ports))
		}
		return ports[port]
	})
	out := new(explain.Report)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Fatal(err)
	}
	return out
}

var ephemeral = regexp.MustCompile(`\b(3[2-9]|[45]\d|6[0-5])\d{3}\b`)

// fixTimes replaces the times and durations in v with constants.
func fixTimes(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fixTimes(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			fixTimes(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(someTime))
			return
		}
		for i := range v.NumField() {
			fixTimes(v.Field(i))
		}
	case reflect.Int64:
		// Durations of whole seconds were requested, and other durations were measured.
		if v.Type() == reflect.TypeFor[explain.Duration]() && v.Int()%int64(time.Second) != 0 {
			v.SetInt(int64(time.Millisecond))
		}
	}
}
