package config

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/handfast/handfast/internal/redact"
)

// Secret is a text that must not be shown: whatever prints it prints [redacted] instead, or nothing when it is empty. Only
// [Secret.Reveal] returns it.
type Secret struct{ text string }

// NewSecret makes a secret.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.text }

// Empty reports whether there is none.
func (s Secret) Empty() bool { return s.text == "" }

// Describe returns the label of the type in the reference, and what a message about a mistake says was expected.
func (Secret) Describe() (label, want string) { return "secret", "a secret" }

// Hidden marks it as secret, which hides its value and allows a separate file for it.
func (Secret) Hidden() {}

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}

// String hides it.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return redact.Mark
}

// Format hides it from every verb of fmt, %#v and %d included.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) } //nolint:errcheck // as fmt does it

// MarshalText hides it from JSON, XML and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML hides it.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue hides it from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
