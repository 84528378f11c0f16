package config

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/handfast/handfast/internal/redact"
)

// Secret is a text that must not be shown: it is printed as [redacted], or as nothing if it is empty. Only [Secret.Reveal] returns
// it.
type Secret struct{ text string }

// NewSecret returns text as a Secret.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.text }

// Empty reports whether the secret is empty.
func (s Secret) Empty() bool { return s.text == "" }

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Secret) Describe() (label, want string) { return "secret", "a secret" }

// Hidden marks the type as secret, which hides its value and allows a separate file for it.
func (Secret) Hidden() {}

// UnmarshalText stores the text unchanged.
func (s *Secret) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}

// String returns [redacted], or "" for an empty secret.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return redact.Mark
}

// Format hides the secret from every verb of fmt, including %#v and %d.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) } //nolint:errcheck // fmt ignores write errors, too

// MarshalText hides the secret from JSON, XML and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML hides the secret.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue hides the secret from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
