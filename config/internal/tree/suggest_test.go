package tree

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"connections", "max_message", "tls", "do", "secret_file"}
	for word, want := range map[string]string{
		"conections": "connections", "maxMessage": "max_message", "max-message": "max_message", "tsl": "tls", "od": "do", "x": "",
		"txx": "tls", "xls": "tls", "xxs": "", "tx": "", "nothing_alike": "", "secretfile": "secret_file", strings.Repeat("a", 1000): "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
	// Words of more than 64 bytes are not compared.
	for n, want := range map[int]bool{63: true, 64: false} {
		known := strings.Repeat("a", n+1)
		if got := Nearest(strings.Repeat("a", n), []string{known}); (got == known) != want {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
}
