// Package transcript runs the transcripts of a protocol's tests: files in testdata with the messages that clients send and receive,
// line by line. The caller defines the meaning of a line.
package transcript

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// File is one transcript.
type File struct {
	name, text string
}

// Each runs a subtest for each file testdata/*.txt.
func Each(t *testing.T, run func(t *testing.T, f File)) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			run(t, File{file, string(text)})
		})
	}
}

// Play calls line with each line of the file that is neither empty nor a comment. It fails the test if line returns a problem.
func (f File) Play(t *testing.T, line func(text string) (wrong string)) {
	t.Helper()
	n := 0
	for text := range strings.Lines(f.text) {
		n++
		if text = strings.TrimSpace(text); text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if wrong := line(text); wrong != "" {
			t.Fatalf("%s:%d: %s", f.name, n, wrong)
		}
	}
}

// Fits reports whether a value from JSON matches the expected one: "*" matches any value, and keys that are not expected must be
// absent, except for those in ignore.
func Fits(got, want any, ignore ...string) bool {
	if want == "*" {
		return got != nil
	}
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		for _, key := range ignore {
			delete(g, key)
		}
		if !ok || len(g) != len(w) {
			return false
		}
		for k := range w {
			if _, has := g[k]; !has || !Fits(g[k], w[k], ignore...) {
				return false
			}
		}
		return true
	case []any:
		w, ok := want.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !Fits(g[i], w[i], ignore...) {
				return false
			}
		}
		return true
	}
	x, _ := json.Marshal(got)
	y, _ := json.Marshal(want)
	return bytes.Equal(x, y)
}
