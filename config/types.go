package config

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/handfast/handfast/config/internal/tree"
)

// Duration is a duration. In the file: a number and a unit, as in 250ms, 30s, 1h30m; 0 needs no unit.
type Duration time.Duration

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Duration) Describe() (label, want string) {
	return "duration", "a duration with its unit, such as 250ms, 30s or 1h30m"
}

// UnmarshalText parses a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		if _, e := strconv.ParseFloat(string(text), 64); e == nil {
			return errors.New("the unit is missing")
		}
		return errors.New("not a duration")
	}
	*d = Duration(v)
	return nil
}

// String formats a duration without units that are zero: 1h instead of 1h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText returns the form that UnmarshalText parses.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Bytes is a size. In the file: a number of bytes, or a number with a unit, as in 64KiB, 1MiB, 10MB.
type Bytes int64

var byteUnits = []struct {
	name string
	size int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}, {"", 1},
}

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Bytes) Describe() (label, want string) { return "size", "a size, such as 512, 64KiB or 1MiB" }

// UnmarshalText parses a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := string(text)
	digits := strings.TrimRight(s, "GMKkiB")
	unit := s[len(digits):]
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 || strings.HasPrefix(s, "+") {
		return errors.New("not a size")
	}
	for _, u := range byteUnits {
		if u.name != unit {
			continue
		}
		if n > math.MaxInt64/u.size {
			return errors.New("too large")
		}
		*b = Bytes(n * u.size)
		return nil
	}
	return errors.New("unknown unit")
}

// String formats a size in the unit in which it is the shortest whole number.
func (b Bytes) String() string {
	digits, unit := strconv.FormatInt(int64(b), 10), ""
	for _, u := range byteUnits[:6] {
		if int64(b)%u.size != 0 {
			continue
		}
		if d := strconv.FormatInt(int64(b)/u.size, 10); len(d) < len(digits) {
			digits, unit = d, u.name
		}
	}
	return digits + unit
}

// MarshalText returns the form that UnmarshalText parses.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Prefix is a network, or a single address. In the file: 10.0.0.0/8, 2001:db8::/32, 127.0.0.1.
type Prefix struct{ netip.Prefix }

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Prefix) Describe() (label, want string) {
	return "network", "an IP address or a network in CIDR notation, such as 10.0.0.0/8 or ::1"
}

// UnmarshalText parses a network.
func (p *Prefix) UnmarshalText(text []byte) error {
	s := string(text)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		p.Prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		return nil
	}
	v, err := netip.ParsePrefix(s)
	if err != nil {
		return errors.New("not a network")
	}
	if v != v.Masked() {
		return fmt.Errorf("the address has bits set beyond the prefix length: the network is %s", v.Masked())
	}
	p.Prefix = v
	return nil
}

// Address is the address of a listener. In the file: host:port; "off" if the listener is optional.
type Address string

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Address) Describe() (label, want string) {
	return "host:port", "host:port, such as localhost:8443, or :8443 for every address of this machine"
}

// UnmarshalText parses an address.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if tree.IsFalse(s) {
		*a = "off"
		return nil
	}
	*a = Address(s)
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("not an address with a port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return errors.New("the port is not a number from 0 to 65535")
	}
	return nil
}

// Loopback reports whether only this machine can reach an address.
func (a Address) Loopback() bool {
	ip, err := netip.ParseAddr(a.Host())
	return a.Host() == "localhost" || err == nil && ip.IsLoopback()
}

// Off reports whether there is no listener.
func (a Address) Off() bool { return a == "" || a == "off" }

// Host returns the part before the port, without brackets.
func (a Address) Host() string {
	host, _, _ := net.SplitHostPort(string(a))
	return host
}

// Path is the name of a file or a directory. [Load] makes it absolute: paths in a file are relative to that file's directory,
// others to the working directory.
type Path string

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Path) Describe() (label, want string) { return "file", "the path of a file" }

// UnmarshalText stores a path.
func (p *Path) UnmarshalText(text []byte) error {
	if bytes.IndexByte(text, 0) >= 0 {
		return errors.New("it contains a zero byte")
	}
	*p = Path(text)
	return nil
}

// In makes a relative path absolute, relative to a directory.
func (p *Path) In(dir string) { *p = Path(tree.In(dir, string(*p))) }

// Origin is a web origin: scheme and host, and the port if it is not the default (RFC 6454 §6.2).
type Origin string

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Origin) Describe() (label, want string) {
	return "origin", "scheme and host, and the port if it is not the default, such as https://app.example.com"
}

// UnmarshalText parses an origin.
func (o *Origin) UnmarshalText(text []byte) error {
	s := string(text)
	u, err := url.Parse(s)
	switch {
	case s == "null":
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		return errors.New("not a web origin")
	case strings.Contains(u.Host, "*"):
		return errors.New("a wildcard would admit hosts that are not yours")
	case s != u.Scheme+"://"+u.Host:
		return fmt.Errorf("the value has more than scheme and host: the origin is %s://%s", u.Scheme, u.Host)
	case u.Port() != "" && !validPort(u.Port()):
		return errors.New("the port is not a number from 0 to 65535")
	case s != strings.ToLower(s):
		return fmt.Errorf("browsers write origins in lower case: %s", strings.ToLower(s))
	}
	*o = Origin(s)
	return nil
}

func validPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

// TokenSource is a place in a request where a token may be.
type TokenSource struct {
	Kind string // "bearer", "header", "subprotocol", "kubernetes" or "query"
	Name string // the name of the query parameter or header field; for "subprotocol" the prefix, or "" for the default
}

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (TokenSource) Describe() (label, want string) {
	return "source", "bearer, header:NAME, subprotocol, subprotocol:PREFIX, kubernetes or query:NAME"
}

// UnmarshalText parses a place.
func (s *TokenSource) UnmarshalText(text []byte) error {
	kind, name, named := strings.Cut(string(text), ":")
	switch {
	case (kind == "bearer" || kind == "kubernetes" || kind == "subprotocol") && !named,
		(kind == "query" || kind == "subprotocol") && name != "", kind == "header" && validHeader(name):
		*s = TokenSource{kind, name}
		return nil
	case kind == "query":
		return errors.New("the name of the parameter is missing")
	case kind == "header":
		return errors.New("the name of the header field is missing or not valid")
	case kind == "cookie":
		return errors.New("for a token in a cookie, use the method cookie with jwt: that method requires a list of origins")
	}
	return errors.New("not a valid place for a token")
}

// String returns the form that UnmarshalText parses.
func (s TokenSource) String() string {
	if s.Name == "" {
		return s.Kind
	}
	return s.Kind + ":" + s.Name
}

// MarshalText returns the form that UnmarshalText parses.
func (s TokenSource) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Time is a date, or a date with a time. The zero value means never.
type Time struct{ time.Time }

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (Time) Describe() (label, want string) {
	return "date", "a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z"
}

// UnmarshalText parses a time; a date alone is the beginning of that day in UTC.
func (t *Time) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*t = Time{}
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if v, err := time.Parse(layout, string(text)); err == nil {
			t.Time = v.UTC()
			return nil
		}
	}
	return errors.New("not a date")
}

// String returns the form that UnmarshalText parses.
func (t Time) String() string {
	switch {
	case t.IsZero():
		return ""
	case t.Equal(t.Truncate(24 * time.Hour)):
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// MarshalText returns the form that UnmarshalText parses.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
