package redisengine

import "testing"

// FuzzMessage parses messages that any client of the server may publish.
func FuzzMessage(f *testing.F) {
	f.Add("p7 1800000000000 epoch\np\x03\x04data")
	f.Add("p0 0 \np")
	f.Add("p1 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseMessage(text)
		if (p == nil) == (err == nil) {
			t.Errorf("%q is read as %v, %v", text, p, err)
		}
		if err == nil && p.Offset > 0 && p.Previous != p.Offset-1 {
			t.Errorf("%q is read as %+v", text, p)
		}
	})
}

func TestLater(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"10-0", "9-5", true}, {"9-5", "10-0", false}, {"9-10", "9-9", true}, {"9-9", "9-9", false}, {"9-9", "9-10", false}} {
		if got := later(tt.a, tt.b); got != tt.want {
			t.Errorf("later(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
}
