package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// retry is how long a running server waits before it repeats a failed renewal of its certificate.
const retry = time.Hour

// Dev is a development certificate authority and the server certificate it signed. Its methods are safe for concurrent use.
type Dev struct {
	dir     string
	ca      authority
	extra   []string // the names and addresses of the leaf in addition to localhost and loopback addresses
	lacking string   // the host name that the CA may not sign for; "" if there is none
	now     func() time.Time

	mu      sync.Mutex
	leaf    *tls.Certificate
	triedAt time.Time // time of the last attempt to renew the leaf
}

// OpenDev opens the development CA in dir and creates one if there is none; dir is usually from [DevDir]. OpenDev makes sure that there is
// a certificate for localhost, 127.0.0.1, ::1 and host, which is the machine's name. It ignores host if that is empty or cannot be in a
// certificate. Several processes may call it concurrently, even for the first time: they get the same CA.
//
// The certificate is also for the names and addresses that the CA was created for. A new CA is created for host and for extra, which are
// additional names and addresses of this machine. The error is an [*Error] if an existing CA may not sign for a name in extra, or if a file
// is damaged or readable by other users.
func OpenDev(dir, host string, extra ...string) (*Dev, error) {
	return openDev(dir, host, time.Now, extra...)
}

func openDev(dir, host string, now func() time.Time, extra ...string) (*Dev, error) {
	host = usableHost(host)
	extra, err := checkHosts(extra)
	if err != nil {
		return nil, err
	}
	names := extra
	if host != "" && !slices.Contains(extra, host) {
		names = append([]string{host}, extra...)
	}
	ca, err := openAuthority(dir, names, now())
	if err != nil {
		return nil, err
	}
	d := &Dev{dir: dir, ca: ca, now: now}
	for _, name := range extra {
		if !ca.maySign(name) {
			return nil, ca.constraintError(CAFile(dir), name, host, extra)
		}
	}
	if !ca.maySign(host) {
		d.lacking, names = host, extra
	}
	for _, name := range ca.extraNames() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	d.extra = names
	if d.leaf, err = d.openLeaf(); err != nil {
		return nil, err
	}
	return d, nil
}

// RenewDev deletes the CA in dir, including its key, and creates another one. Clients that trust the old CA must trust the new CA instead.
// A running server uses the old CA until it is restarted. host and extra have the same meaning as for [OpenDev].
func RenewDev(dir, host string, extra ...string) (*Dev, error) {
	if _, err := checkHosts(extra); err != nil {
		return nil, err
	}
	old := dir + ".old"
	err := os.RemoveAll(old)
	if err == nil {
		err = os.Rename(dir, old)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{dir, cause(err), "remove that directory"}
	}
	d, err := OpenDev(dir, host, extra...)
	if err != nil {
		// Restore the old CA. If another process has created a CA in the meantime, the rename fails, and that CA is kept.
		return nil, errors.Join(err, ignoreMissing(os.Rename(old, dir)))
	}
	if err := os.RemoveAll(old); err != nil {
		return nil, &Error{old, cause(err), "remove that directory: it holds the key of the old CA"}
	}
	return d, nil
}

// CAFile returns the path of the CA's certificate.
func (d *Dev) CAFile() string { return CAFile(d.dir) }

// CA returns the CA's certificate.
func (d *Dev) CA() *x509.Certificate { return d.ca.cert }

// Leaf returns the server certificate in use.
func (d *Dev) Leaf() *x509.Certificate {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leaf.Leaf
}

// Names returns the names and addresses that the server certificate is for.
func (d *Dev) Names() []string {
	leaf := d.Leaf()
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// Left returns the host name that the certificate lacks because the CA was created when the machine had another name, or "" if the
// certificate is complete. [RenewDev] creates a CA for the new name.
func (d *Dev) Left() string { return d.lacking }

// GetCertificate is for [tls.Config.GetCertificate]. It renews the certificate before the certificate expires.
func (d *Dev) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if fresh(d.leaf.Leaf, now) || now.Sub(d.triedAt) < retry {
		return d.leaf, nil
	}
	d.triedAt = now
	leaf, err := d.openLeaf()
	if err == nil {
		d.leaf = leaf
	}
	return d.leaf, nil // after a failed renewal this is the old certificate, whose expiry clients report
}

// CAFile returns the path of the CA's certificate in dir, in PEM. Clients must trust this certificate.
func CAFile(dir string) string { return filepath.Join(dir, caFile) }

// LeafFile returns the path of the server's certificate and key in dir, in PEM.
func LeafFile(dir string) string { return filepath.Join(dir, leafFile) }

// DevCA returns the certificate of the development CA in dir, for a client that trusts it; it reads no key. If there is no CA yet, the
// error is fs.ErrNotExist.
func DevCA(dir string) (*x509.Certificate, error) {
	return readCertificate(filepath.Join(dir, caFile), renewHint)
}

// DevLeaf returns the server certificate in dir. The errors are those of [DevCA].
func DevLeaf(dir string) (*x509.Certificate, error) {
	return readCertificate(filepath.Join(dir, leafFile), "remove that file; it is then created again")
}

// ignoreMissing returns nil for fs.ErrNotExist, and err otherwise.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// usableHost returns a machine's name in the form for a certificate, or "" if a certificate cannot contain the name.
func usableHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || len(host) > 253 || net.ParseIP(host) != nil {
		return ""
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return ""
		}
		for _, c := range label {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return ""
			}
		}
	}
	return host
}

// checkHosts normalizes names and addresses, and removes duplicates.
func checkHosts(hosts []string) ([]string, error) {
	var names []string
	for _, h := range hosts {
		name := usableHost(h)
		addr, err := netip.ParseAddr(h)
		switch {
		case err == nil && (addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast()):
			return nil, &Error{h, errors.New("is not an address that clients connect to"), "name an address of this machine, such as 192.0.2.7"}
		case err == nil:
			name = addr.Unmap().String()
		case name == "" && plainHost(h) != "localhost":
			return nil, &Error{h, errors.New("is neither a host name nor an IP address"), "write a name or an address alone, such as mypc.lan or 192.0.2.7"}
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
