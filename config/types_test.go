package config

import (
	"encoding"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/handfast/handfast/config/internal/tree"
	"github.com/handfast/handfast/internal/redact"
)

func TestTypes(t *testing.T) {
	for _, tt := range []struct {
		into tree.Scalar
		text string
		want string // the formatted value; "" if the text is rejected
	}{
		{new(Duration), "30s", "30s"},
		{new(Duration), "60m", "1h"},
		{new(Duration), "90m", "1h30m"},
		{new(Duration), "0", "0s"},
		{new(Duration), "1.5s", "1.5s"},
		{new(Duration), "5", ""},
		{new(Duration), "five", ""},
		{new(Bytes), "0", "0"},
		{new(Bytes), "512", "512"},
		{new(Bytes), "512B", "512"},
		{new(Bytes), "64KiB", "64KiB"},
		{new(Bytes), "64 KiB", "64KiB"},
		{new(Bytes), "1024KiB", "1MiB"},
		{new(Bytes), "1kB", "1kB"},
		{new(Bytes), "2GB", "2GB"},
		{new(Bytes), "9223372036854775807", "9223372036854775807"},
		{new(Bytes), "9223372036854775807GiB", ""},
		{new(Bytes), "-1", ""},
		{new(Bytes), "+1", ""},
		{new(Bytes), "1.5MiB", ""},
		{new(Bytes), "1Mi", ""},
		{new(Bytes), "KiB", ""},
		{new(Bytes), "", ""},
		{new(Prefix), "10.0.0.0/8", "10.0.0.0/8"},
		{new(Prefix), "10.1.2.3", "10.1.2.3/32"},
		{new(Prefix), "::ffff:10.1.2.3", "10.1.2.3/32"},
		{new(Prefix), "2001:db8::/32", "2001:db8::/32"},
		{new(Prefix), "10.1.0.0/8", ""},
		{new(Prefix), "fe80::1%eth0", ""},
		{new(Prefix), "localhost", ""},
		{new(Address), "off", "off"},
		{new(Address), ":8443", ":8443"},
		{new(Address), "[::1]:0", "[::1]:0"},
		{new(Address), "localhost", ""},
		{new(Address), "localhost:65536", ""},
		{new(Address), "localhost:http", ""},
		{new(Address), "localhost:08", ""},
		{new(Origin), "https://example.com", "https://example.com"},
		{new(Origin), "http://localhost:3000", "http://localhost:3000"},
		{new(Origin), "null", "null"},
		{new(Origin), "https://example.com/", ""},
		{new(Origin), "https://Example.com", ""},
		{new(Origin), "https://*.example.com", ""},
		{new(Origin), "https://user@example.com", ""},
		{new(Origin), "https://example.com:99999", ""},
		{new(Origin), "wss://example.com", ""},
		{new(Origin), "example.com", ""},
		{new(Origin), "https://", ""},
		{new(TokenSource), "bearer", "bearer"},
		{new(TokenSource), "subprotocol", "subprotocol"},
		{new(TokenSource), "subprotocol:tok.", "subprotocol:tok."},
		{new(TokenSource), "kubernetes", "kubernetes"},
		{new(TokenSource), "query:t", "query:t"},
		{new(TokenSource), "header:X-Id", "header:X-Id"},
		{new(TokenSource), "header", ""},
		{new(TokenSource), "header:X Id", ""},
		{new(TokenSource), "query", ""},
		{new(TokenSource), "bearer:x", ""},
		{new(TokenSource), "cookie:x", ""},
		{new(Time), "2027-01-31", "2027-01-31"},
		{new(Time), "2027-01-31T12:00:00+01:00", "2027-01-31T11:00:00Z"},
		{new(Time), "", "\x00"},
		{new(Time), "31.1.2027", ""},
		{new(Path), "a/b", "a/b"},
		{new(Path), "a\x00b", ""},
		{new(Path), "\x00b", ""},
	} {
		err := tt.into.UnmarshalText([]byte(tt.text))
		if err != nil {
			label, want := tt.into.Describe()
			if tt.want != "" || strings.Contains(err.Error(), "\n") || want == "" || label == "" {
				t.Errorf("%T of %q: %v", tt.into, tt.text, err)
			}
			continue
		}
		got := fmt.Sprint(reflect.ValueOf(tt.into).Elem().Interface())
		if m, ok := tt.into.(encoding.TextMarshaler); ok {
			if text, err := m.MarshalText(); err != nil || string(text) != got {
				t.Errorf("%T of %q: %q, %v", tt.into, tt.text, text, err)
			}
		}
		if got != strings.Trim(tt.want, "\x00") || tt.want == "" {
			t.Errorf("%T of %q: %q, want %q", tt.into, tt.text, got, tt.want)
		}
	}
}

// Only Reveal shows a secret.
func TestSecretIsNotShown(t *testing.T) {
	const secret = "hunter2"
	s := NewSecret(secret)
	type holding struct{ S Secret }
	holder := holding{s}
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3s"} {
		fmt.Fprintf(&b, verb+verb+verb+"\n", s, holder, &holder)
	}
	fmt.Fprintln(&b, s, holder, []Secret{s}, map[string]Secret{"k": s}, fmt.Errorf("%v", s))
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, xml.Marshal, yaml.Marshal} {
		text, err := marshal(holder)
		if err != nil {
			t.Error(err)
		}
		b.Write(text)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("x", "s", s, "h", holder, "p", &holder)
	}
	b.WriteString(s.String())
	if strings.Contains(b.String(), secret) || strings.Contains(b.String(), "68756e74657232") || !strings.Contains(b.String(), redact.Mark) {
		t.Error(b.String())
	}
	if s.Reveal() != secret || s.Empty() || !NewSecret("").Empty() || NewSecret("").String() != "" {
		t.Error("Reveal, Empty or String returns a wrong result")
	}
}
