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

// retry is how long a running server waits before it tries again to renew its certificate.
const retry = time.Hour

// Dev is a development certificate authority and the server certificate it signed. All methods may be called concurrently by any
// number of goroutines.
type Dev struct {
	dir  string
	ca   authority
	also []string // the names and addresses that the leaf is for in addition to localhost and loopback addresses
	left string   // the host name the CA may not sign for; empty: none
	now  func() time.Time

	mu    sync.Mutex
	leaf  *tls.Certificate
	tried time.Time // when the leaf was last made again, or should have been
}

// OpenDev opens the development CA that is in dir and makes one if there is none; dir comes from [DevDir]. It has a
// certificate ready for localhost, 127.0.0.1, ::1 and host, which is the machine's name; an empty or unusable host is
// left out. Several processes may do this at the same time, for the first time too: they end up with one CA.
//
// The certificate is also for the names and addresses that the CA was made for. A new CA is made for host and for also, which are
// further names and addresses of this machine. An older one that may not sign for one of also is an [*Error]; so is a file that is
// broken, or that others could have read.
func OpenDev(dir, host string, also ...string) (*Dev, error) {
	return openDev(dir, host, time.Now, also...)
}

func openDev(dir, host string, now func() time.Time, also ...string) (*Dev, error) {
	host = usableHost(host)
	also, err := checkHosts(also)
	if err != nil {
		return nil, err
	}
	names := also
	if host != "" && !slices.Contains(also, host) {
		names = append([]string{host}, also...)
	}
	ca, err := openAuthority(dir, names, now())
	if err != nil {
		return nil, err
	}
	d := &Dev{dir: dir, ca: ca, now: now}
	for _, name := range also {
		if !ca.maySign(name) {
			return nil, ca.narrow(CAFile(dir), name, host, also)
		}
	}
	if !ca.maySign(host) {
		d.left, names = host, also
	}
	for _, name := range ca.further() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	d.also = names
	if d.leaf, err = d.openLeaf(); err != nil {
		return nil, err
	}
	return d, nil
}

// RenewDev throws away the CA in dir, key and all, and makes another one. Clients that trust the old one have to
// trust the new one instead; a server that is running goes on with the old one until it is started again. The names are those of
// [OpenDev].
func RenewDev(dir, host string, also ...string) (*Dev, error) {
	if _, err := checkHosts(also); err != nil {
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
	d, err := OpenDev(dir, host, also...)
	if err != nil {
		// Better the old one than none. If another process has made one meanwhile this fails, and theirs stays.
		return nil, errors.Join(err, ignoreMissing(os.Rename(old, dir)))
	}
	if err := os.RemoveAll(old); err != nil {
		return nil, &Error{old, cause(err), "remove that directory: it holds the key of the old CA"}
	}
	return d, nil
}

// CAFile returns the file with the CA's certificate.
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

// Left returns the host name that the certificate should be for and is not, since the CA was made when the machine had
// another one; empty when all is well. [RenewDev] helps.
func (d *Dev) Left() string { return d.left }

// GetCertificate is for [tls.Config.GetCertificate]: a server that runs for months gets a fresh certificate in time.
func (d *Dev) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if fresh(d.leaf.Leaf, now) || now.Sub(d.tried) < retry {
		return d.leaf, nil
	}
	d.tried = now
	leaf, err := d.openLeaf()
	if err == nil {
		d.leaf = leaf
	}
	return d.leaf, nil // when that failed, the old one: clients report that it has expired
}

// CAFile returns the file in dir with the CA's certificate, in PEM: what a client has to trust.
func CAFile(dir string) string { return filepath.Join(dir, caFile) }

// LeafFile returns the file in dir with the server's certificate and its key, in PEM.
func LeafFile(dir string) string { return filepath.Join(dir, leafFile) }

// DevCA returns the certificate of the development CA in dir, for a client that trusts it; it touches no key. Where
// there is none yet the error is fs.ErrNotExist.
func DevCA(dir string) (*x509.Certificate, error) {
	return readCertificate(filepath.Join(dir, caFile), renewHint)
}

// DevLeaf returns the server certificate in dir, as [DevCA] does the CA's.
func DevLeaf(dir string) (*x509.Certificate, error) {
	return readCertificate(filepath.Join(dir, leafFile), "remove that file: it is created again")
}

// ignoreMissing drops the error that says there was nothing.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// usableHost returns a machine's name the way it is in a certificate, and nothing when it cannot stand there.
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

// checkHosts returns names and addresses the way they are compared, each once.
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
