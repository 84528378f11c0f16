package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/internal/visible"
)

// checkURL checks a URL to dial, and returns it without possible secrets: user information and the query. An error does not contain the URL
// if the URL may contain a password.
func checkURL(raw string) (string, error) {
	const schemes = "write wss://, or ws:// for a server without TLS"
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", usagef("", "a URL must not contain spaces or control characters")
	}
	if !strings.Contains(raw, "://") {
		scheme, rest := withoutSlashes(raw)
		if strings.ContainsAny(raw, "@?#") {
			rest = "…"
		}
		if scheme != "" {
			return "", usagef("write "+scheme+"://"+rest, "the URL has no :// after its scheme")
		}
		return "", usagef("write wss://"+rest+", or ws://"+rest+" for a server without TLS", "the URL has no scheme")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", usagef(schemes, "not a URL: %v", errors.Unwrap(err))
	}
	switch strings.ToLower(u.Scheme) {
	case "ws", "wss", "http", "https":
	default:
		return "", usagef(schemes, "%s:// is not a WebSocket scheme", u.Scheme)
	}
	if u.Hostname() == "" {
		return "", usagef("write wss://host:port/path", "the URL has no host")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return "", usagef("write the port that the server listens on", "the URL's port is not from 1 to 65535")
	}
	if u.Fragment != "" || strings.Contains(raw, "#") {
		return "", usagef("leave out # and what follows, or write %23", "a WebSocket URL has no fragment (RFC 6455 §3)")
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath(), nil
}

// withoutSlashes returns the scheme and the rest of a URL such as "ws:/localhost", "ws//localhost" or "wss:localhost". scheme is "" if the
// URL may have none: "ws:8080" can be the host ws with a port.
func withoutSlashes(raw string) (scheme, rest string) {
	i := strings.IndexAny(raw, ":/")
	if i < 0 || raw[i] == '/' && !strings.HasPrefix(raw[i:], "//") ||
		!slices.Contains([]string{"ws", "wss", "http", "https"}, strings.ToLower(raw[:i])) {
		return "", raw
	}
	scheme, rest = strings.ToLower(raw[:i]), strings.TrimLeft(raw[i:], ":/")
	port, _, _ := strings.Cut(rest, "/")
	if _, err := strconv.ParseUint(port, 10, 16); err == nil && raw[i] == ':' || rest == "" {
		return "", raw
	}
	return scheme, rest
}

// tlsConfig returns the TLS configuration, with the trusted authorities and the client certificate.
func (f *dialFlags) tlsConfig(sys *System) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.cert != "" {
		key := f.key
		if key == "" {
			key = f.cert
		}
		pair, err := certs.LoadFiles(f.cert, key)
		if err != nil {
			flag := "--cert"
			if e, ok := errors.AsType[*certs.Error](err); ok && e.Path == f.key && f.key != f.cert {
				flag = "--" + f.keyFlag
			}
			return nil, wrongFile(flag, err)
		}
		config.Certificates = []tls.Certificate{*pair}
	}
	var err error
	switch {
	case f.insecure:
		fmt.Fprintln(sys.Stderr, "handfast: --insecure: an attacker on the path can read and change everything")
		config.InsecureSkipVerify = true
	case f.cacert != "":
		config.RootCAs, err = readRoots(f.cacert)
	default:
		config.RootCAs = defaultRoots(sys)
	}
	return config, err
}

// wrongFile returns a usageError for an error about the file in a flag, or in an argument if flag is "".
func wrongFile(flag string, err error) error {
	return &usageError{strings.TrimSpace(flag + " " + err.Error()), nextstep.Of(err)}
}

// readRoots reads the certificate authorities in the file of --cacert.
func readRoots(path string) (*x509.CertPool, error) {
	hint := "give the path of a file with certificates in PEM"
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, wrongFile("--cacert", &certs.Error{Path: path, Err: errors.Unwrap(err), Hint: hint})
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, wrongFile("--cacert", &certs.Error{Path: path, Err: errors.New("holds no certificate in PEM"), Hint: hint})
	}
	return roots, nil
}

// defaultRoots returns the system's certificate authorities and the development CA, for this process only. If either is not available, only
// the other is used; the handshake then fails if the server's certificate requires the missing one.
func defaultRoots(sys *System) *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		fmt.Fprintln(sys.Stderr, "handfast: the system's certificate authorities cannot be loaded:", err)
		roots = x509.NewCertPool()
	}
	dir, err := certs.DevDir()
	if err != nil {
		return roots
	}
	ca, err := certs.DevCA(dir)
	switch {
	case err == nil:
		roots.AddCert(ca)
	case !errors.Is(err, fs.ErrNotExist):
		fmt.Fprintln(sys.Stderr, "handfast: the development CA is not trusted:", visible.Text(err.Error()))
	}
	return roots
}

func tlsVersion(v uint16) string { return tls.VersionName(v) }
