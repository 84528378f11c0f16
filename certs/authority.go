package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The files in the directory of [OpenDev].
const (
	caFile   = "ca.pem"        // the CA's certificate
	keyFile  = "ca-key.pem"    // the CA's private key
	leafFile = "localhost.pem" // the server's key and certificate, in one file so that one rename replaces both
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	clockSkew     = time.Hour // certificates are valid from a little before now, because clocks differ
)

const renewHint = "run \"handfast cert dev --new\" to make a new development CA"

// authority is a CA: its certificate and its key, which is only in memory and in its file.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// openAuthority loads the CA in dir. If dir does not exist, or is empty, it creates a CA for the names.
func openAuthority(dir string, names []string, now time.Time) (authority, error) {
	if err := checkDir(dir); errors.Is(err, fs.ErrNotExist) {
		if err := makeAuthority(dir, names, now); err != nil {
			return authority{}, err
		}
	} else if err != nil {
		return authority{}, err
	}
	return loadAuthority(dir, now)
}

func loadAuthority(dir string, now time.Time) (authority, error) {
	certPath, keyPath := filepath.Join(dir, caFile), filepath.Join(dir, keyFile)
	cert, err := readCertificate(certPath, renewHint)
	if err != nil {
		return authority{}, err
	}
	key, err := readKey(keyPath)
	switch {
	case err != nil:
		return authority{}, err
	case !key.PublicKey.Equal(cert.PublicKey):
		return authority{}, &Error{keyPath, fmt.Errorf("is not the key of %s", certPath), renewHint}
	case !cert.IsCA:
		return authority{}, &Error{certPath, errors.New("is not the certificate of a CA"), renewHint}
	case now.After(cert.NotAfter.Add(-leafLife)):
		err := fmt.Errorf("expires on %s, too soon to sign another certificate", cert.NotAfter.Format(time.DateOnly))
		return authority{}, &Error{certPath, err, renewHint + ", and trust it wherever the old one was trusted"}
	}
	return authority{cert, key}, nil
}

// makeAuthority creates a CA in a new directory next to dir, and renames the new directory to dir. The rename fails if another process was
// faster, so dir always contains one complete CA.
func makeAuthority(dir string, names []string, now time.Time) error {
	certDER, key, err := newAuthority(names, now)
	if err != nil {
		return fmt.Errorf("make a development CA: %w", err)
	}
	parent := filepath.Dir(dir)
	hint := "make that directory writable, or point XDG_STATE_HOME at one that is"
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return &Error{parent, cause(err), hint}
	}
	tmp, err := os.MkdirTemp(parent, ".dev-*") // MkdirTemp creates the directory with mode 0700
	if err != nil {
		return &Error{parent, cause(err), hint}
	}
	defer os.RemoveAll(tmp) // after the rename there is nothing to remove
	keyPEM, err := encodeKey(key)
	if err == nil {
		err = writeFile(filepath.Join(tmp, keyFile), keyPEM, 0o600)
	}
	if err == nil {
		err = writeFile(filepath.Join(tmp, caFile), encodeCertificate(certDER), 0o644)
	}
	if err != nil {
		return &Error{parent, fmt.Errorf("cannot store a key in this directory: %w", cause(err)), hint}
	}
	_ = os.Remove(dir) // on some systems an empty directory blocks the rename; os.Remove fails if dir is not empty
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(filepath.Join(dir, caFile)); there == nil {
			return nil // another process was faster
		}
		return &Error{dir, cause(err), "remove that directory if nothing in it is needed"}
	}
	return nil
}

// newAuthority returns the certificate of a new CA that may sign for localhost, loopback addresses, and the given host names and
// addresses.
func newAuthority(names []string, now time.Time) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject: pkix.Name{
			Organization: []string{"handfast development CA"},
			// Two CAs must not have the same name: a verifier that knows the old CA would try the old CA first, and may not try the new
			// one.
			CommonName: "handfast development CA " + hex.EncodeToString(serial.Bytes()[:4]),
		},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // may sign leaves, but no further CA
		// Subdomains of the permitted names are permitted, too; all other names are refused (RFC 5280 §4.2.1.10).
		PermittedDNSDomainsCritical: true,
		PermittedDNSDomains:         []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.PermittedIPRanges = append(template.PermittedIPRanges, hostRange(ip))
			continue
		}
		template.PermittedDNSDomains = append(template.PermittedDNSDomains, name)
		if !strings.Contains(name, ".") {
			// A machine may be called "dev" or "box", which are also top-level domains. The leading dot excludes all subdomains of the
			// name, but not the name itself.
			template.ExcludedDNSDomains = append(template.ExcludedDNSDomains, "."+name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return der, key, err
}

// hostRange returns the range that contains a single address.
func hostRange(ip net.IP) *net.IPNet {
	if four := ip.To4(); four != nil {
		ip = four
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

// maySign reports whether the CA's name constraints allow it to sign for a host name or an address.
func (a authority) maySign(name string) bool {
	if ip := net.ParseIP(name); ip != nil {
		in := func(n *net.IPNet) bool { return n.Contains(ip) }
		permitted := a.cert.PermittedIPRanges
		return !slices.ContainsFunc(a.cert.ExcludedIPRanges, in) && (len(permitted) == 0 || slices.ContainsFunc(permitted, in))
	}
	in := func(domain string) bool {
		domain = strings.ToLower(domain)
		if strings.HasPrefix(domain, ".") {
			return strings.HasSuffix(name, domain)
		}
		return name == domain || strings.HasSuffix(name, "."+domain)
	}
	permitted := a.cert.PermittedDNSDomains
	return !slices.ContainsFunc(a.cert.ExcludedDNSDomains, in) && (name == "" || len(permitted) == 0 || slices.ContainsFunc(permitted, in))
}

// extraNames returns the host names and addresses that the CA was created for, in addition to localhost and loopback addresses.
func (a authority) extraNames() []string {
	var names []string
	for _, domain := range a.cert.PermittedDNSDomains {
		if domain != "localhost" && domain == usableHost(domain) {
			names = append(names, domain)
		}
	}
	for _, n := range a.cert.PermittedIPRanges {
		if ones, bits := n.Mask.Size(); ones == bits && !n.IP.IsLoopback() {
			names = append(names, n.IP.String())
		}
	}
	return names
}

// constraintError returns the error for a CA that may not sign for name. The next step is to create another CA, because the constraints are in the
// certificate that clients trust. The next step does not list machine, the name of the machine, because every new CA is created for that
// name.
func (a authority) constraintError(path, name, machine string, extra []string) error {
	next := "handfast cert dev --new"
	for _, n := range slices.Concat(extra, a.extraNames()) {
		if n != machine && !strings.Contains(next+" ", " "+n+" ") {
			next += " --host " + n
		}
	}
	err := fmt.Errorf("may not sign for %s: this CA was made for localhost, loopback addresses", name)
	if made := a.extraNames(); len(made) > 0 {
		err = fmt.Errorf("%w, %s", err, strings.Join(made, ", "))
	}
	return &Error{path, fmt.Errorf("%w, and nothing else", err),
		fmt.Sprintf("run %q to make another CA, and trust it where this one is trusted", next)}
}

// newSerial returns a random positive serial number (RFC 5280 §4.1.2.2: at most 20 octets).
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and always of the same length
	return new(big.Int).SetBytes(b), nil
}
