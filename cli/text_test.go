package cli

import "testing"

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/home/u/ca.pem": "/home/u/ca.pem",
		"/a b/ca.pem":    "'/a b/ca.pem'",
		"it's":           `'it'\''s'`,
		"$HOME":          "'$HOME'",
		"":               "''",
		"\u00e4":         "'\u00e4'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestPaint(t *testing.T) {
	if got := paint(true).bold("x"); got != "\x1b[1mx\x1b[0m" {
		t.Errorf("on: %q", got)
	}
	if got := paint(false).bold("x"); got != "x" {
		t.Errorf("off: %q", got)
	}
	sys := &System{Getenv: func(string) string { return "" }}
	if newPaint(sys, &buffer{}) {
		t.Error("an output that is not a terminal gets colors")
	}
}

func TestProgram(t *testing.T) {
	for _, tt := range []struct{ exe, arg0, want string }{
		{"/usr/bin/handfast", "handfast", "handfast"},
		{"/src/bin/handfast", "bin/handfast", "bin/handfast"},
		{"/my src/handfast", "/my src/handfast", "'/my src/handfast'"},
		{"/tmp/go-build123/b001/exe/handfast", "/tmp/go-build123/b001/exe/handfast", "go run ./cmd/handfast"},
		{"/home/u/.cache/go-build/ab/cdef-d/handfast", "/home/u/.cache/go-build/ab/cdef-d/handfast", "go run ./cmd/handfast"},
	} {
		if got := program(tt.exe, tt.arg0); got != tt.want {
			t.Errorf("program(%q, %q) = %q, want %q", tt.exe, tt.arg0, got, tt.want)
		}
	}
}
