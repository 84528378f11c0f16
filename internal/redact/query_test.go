package redact

import "testing"

func TestForwarded(t *testing.T) {
	for _, tt := range []struct{ query, want string }{
		{"", ""},
		{"a=b&c", "a=b&c"},
		{"token=x", "token=redacted"},
		{"Access_Token=x;b=c", "Access_Token=redacted&b=c"},
		{"%74oken=x", "%74oken=redacted"},
		{"%zz=x", "redacted"},
		{"a=eyJhbGciOiJub25lIn0.e30.", "a=redacted"},
		{"a=%65yJhbGciOiJub25lIn0.e30.", "a=redacted"},
		{"eyJhbGciOiJub25lIn0.e30.", "redacted"},
		{"hf_ci_abc=1", "redacted"},
		{"a=%zz", "a=redacted"},
		{"a=Bearer+x", "a=redacted"},
		{"mine=x&yours=y", "mine=redacted&yours=y"},
		{"next=%2Flogin%3Ftoken%3Dx", "next=redacted"}, // a nested URL
		{"next=/login?a=b%26Mine=x", "next=redacted"},
		{"next=%2Flogin%3Fa%3Db", "next=%2Flogin%3Fa%3Db"},
	} {
		if got := Forwarded(tt.query, "mine"); got != tt.want {
			t.Errorf("Forwarded(%q) = %q, want %q", tt.query, got, tt.want)
		}
	}
}
