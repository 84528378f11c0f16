package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/handfast/handfast/config/internal/tree"
)

// BackendURL is the URL of a server. In the file: ws://host:port, wss://host:port, or host:port for ws.
type BackendURL string

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (BackendURL) Describe() (label, want string) {
	return "server", "ws://host:port or wss://host:port"
}

// UnmarshalText parses the URL of a server.
func (b *BackendURL) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" {
		*b = ""
		return nil
	}
	if !strings.Contains(s, "://") {
		s = "ws://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("not a URL") // the error may contain a password
	case u.Scheme != "ws" && u.Scheme != "wss":
		return fmt.Errorf("the scheme %s is not ws or wss", tree.Quote(u.Scheme))
	case u.User != nil:
		return errors.New("the URL contains a user name")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL has more than a host and a port: the path is that of the client's request")
	case u.Hostname() == "":
		return errors.New("the host is missing")
	case strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "["): // the port is ambiguous
		return errors.New("an IPv6 address must be in brackets, as in \"[::1]:9000\"")
	case strings.Trim(u.Hostname(), "0123456789") == "":
		return errors.New("the host is only a number")
	}
	host := strings.ToLower(u.Hostname())
	port := u.Port()
	switch {
	case strings.HasPrefix(host, "_"): // SRV records contain the port
	case port == "" && u.Scheme == "ws":
		port = "80"
	case port == "":
		port = "443"
	case !validPort(port) || port == "0":
		return errors.New("the port is not a number from 1 to 65535")
	}
	*b = BackendURL(u.Scheme + "://" + host)
	if port != "" {
		*b = BackendURL(u.Scheme + "://" + net.JoinHostPort(host, port))
	}
	return nil
}

// AffinityKey is the part of a request that determines its server. In the file: path, identity, address, query:NAME, header:NAME or
// cookie:NAME.
type AffinityKey struct {
	Kind string // path, identity, address, query, header or cookie
	Name string // the name of the parameter, the header or the cookie; "" for other kinds
}

// Describe returns the label of the type in the reference, and the description of a valid value in messages.
func (AffinityKey) Describe() (label, want string) {
	return "key", "path, identity, address, query:NAME, header:NAME or cookie:NAME"
}

// UnmarshalText parses a key.
func (a *AffinityKey) UnmarshalText(text []byte) error {
	kind, name, named := strings.Cut(string(text), ":")
	switch kind {
	case "path", "identity", "address":
		if named {
			return fmt.Errorf("%s takes no name", kind)
		}
	case "query", "header", "cookie":
		if name == "" {
			return errors.New("the name is missing")
		}
	default:
		return errors.New("not a part of a request")
	}
	*a = AffinityKey{kind, name}
	return nil
}

// String returns the form that UnmarshalText parses.
func (a AffinityKey) String() string {
	if a.Name == "" {
		return a.Kind
	}
	return a.Kind + ":" + a.Name
}

// MarshalText returns the form that UnmarshalText parses.
func (a AffinityKey) MarshalText() ([]byte, error) { return []byte(a.String()), nil }
