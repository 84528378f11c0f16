package redisstore

import (
	"strings"
	"testing"
)

// A URL with a parameter that would be ignored is refused; the error does not quote the URL.
func TestURL(t *testing.T) {
	for _, text := range []string{"redis://:s3cret@localhost?master=x", "redis://localhost?s3cret", "http://s3cret@localhost"} {
		if _, err := New(Options{URL: text}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
	s, err := New(Options{URL: "redis://:s3cret@localhost/1"})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
