package cli

import "testing"

// A table that is longer than the terminal is cut after a line, and the last line indicates the cut.
func TestAtMost(t *testing.T) {
	for _, tt := range []struct {
		lines      int
		text, want string
	}{
		{4, "1\n2\n3\n", "1\n2\n3\n"}, {3, "1\n2\n3\n", "1\n...\n"}, {4, "1\n2\n3\n4\n5\n", "1\n2\n...\n"},
		{1, "1\n2\n", "1\n...\n"}, {-1, "1\n2\n", "1\n...\n"}, {4, "", ""},
	} {
		if got := fitLines(tt.lines, tt.text); got != tt.want {
			t.Errorf("%d of %q: %q, want %q", tt.lines, tt.text, got, tt.want)
		}
	}
}
