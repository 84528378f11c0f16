package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// part is content that is loaded from files, either completely or not at all.
type part struct {
	subject Subject
	paths   []string
	parse   func(contents [][]byte) (use func(*state), leaf *x509.Certificate, err error)

	seen    [sha256.Size]byte // digest of the files when they were last read
	retryAt time.Time         // when to try the same content again; zero means never, only changed content
	err     error             // why the content last read cannot be used; nil if that content is in use
	use     func(*state)      // adds the content in use to a state; nil means there has been none yet
	leaf    *x509.Certificate // the certificate in use; nil if the content is not a certificate
}

// newParts returns the parts for the files in the options, in the same order. It does not read the files.
func newParts(o *Options) []*part {
	var parts []*part
	for _, pair := range o.Files {
		if pair.Key == "" {
			pair.Key = pair.Cert
		}
		parts = append(parts, &part{subject: SubjectCertificate, paths: []string{pair.Cert, pair.Key},
			parse: func(contents [][]byte) (func(*state), *x509.Certificate, error) {
				cert, err := parsePair(pair.Cert, contents[0], pair.Key, contents[1])
				if err != nil {
					return nil, nil, err
				}
				return func(s *state) { s.names.add(cert) }, cert.Leaf, nil
			}})
	}
	if len(o.ClientCAs) > 0 {
		paths := o.ClientCAs
		parts = append(parts, &part{subject: SubjectClientCAs, paths: paths,
			parse: func(contents [][]byte) (func(*state), *x509.Certificate, error) {
				pool, err := parseAuthorities(paths, contents)
				return func(s *state) { s.clients = pool }, nil, err
			}})
	}
	if o.TicketFile != "" {
		parts = append(parts, &part{subject: SubjectTickets, paths: []string{o.TicketFile},
			parse: func(contents [][]byte) (func(*state), *x509.Certificate, error) {
				secrets, err := parseSecrets(o.TicketFile, contents[0])
				return func(s *state) { s.secrets = secrets }, nil, err
			}})
	}
	return parts
}

// maxFile limits how much is read from one file: a bundle of all CAs of a system has less than 300 KiB.
const maxFile = 4 << 20

// load reads the files and uses their content if it has changed and is valid. It returns the event to report.
func (p *part) load(now time.Time) (Event, bool) {
	contents, digest, err := p.read()
	if digest == p.seen && (p.retryAt.IsZero() || now.Before(p.retryAt)) {
		return Event{}, false
	}
	failedBefore := p.err != nil
	p.seen, p.retryAt = digest, time.Time{}
	var use func(*state)
	var leaf *x509.Certificate
	if err == nil {
		use, leaf, err = p.parse(contents)
	}
	if err == nil {
		err = p.checkValidity(leaf, now)
	}
	p.err = err
	event := Event{What: p.subject, Path: p.paths[0], Old: p.leaf, New: leaf}
	if err != nil {
		event.Kind, event.Err, event.New = EventFailed, err, nil
		return event, true
	}
	event.Kind = EventLoaded
	if failedBefore && leaf != nil && p.leaf != nil && leaf.Equal(p.leaf) {
		event.Kind = EventRecovered
	}
	p.use, p.leaf = use, leaf
	return event, true
}

// read returns the contents of the files, and a digest of the contents and the errors.
func (p *part) read() ([][]byte, [sha256.Size]byte, error) {
	h := sha256.New()
	var failed error
	contents := make([][]byte, len(p.paths))
	for i, path := range p.paths {
		b, err := readFile(path)
		if err != nil {
			failed = errors.Join(failed, err)
			b = []byte("cannot be read: " + err.Error())
		}
		fmt.Fprintf(h, "%t %d ", err == nil, len(b))
		h.Write(b)
		contents[i] = b
	}
	var e *Error // the first error
	if errors.As(failed, &e) {
		failed = e
	}
	return contents, [sha256.Size]byte(h.Sum(nil)), failed
}

// checkValidity returns an error if the new certificate is not valid now, and the certificate in use is valid.
func (p *part) checkValidity(leaf *x509.Certificate, now time.Time) error {
	valid := func(c *x509.Certificate) bool { return !now.Before(c.NotBefore) && !now.After(c.NotAfter) }
	if leaf == nil || p.leaf == nil || valid(leaf) || !valid(p.leaf) {
		return nil
	}
	if now.After(leaf.NotAfter) {
		return &Error{p.paths[0], fmt.Errorf("holds a certificate that expired on %s", leaf.NotAfter.UTC().Format(time.RFC3339)),
			"put the new certificate into that file; until then the current one stays in use"}
	}
	p.retryAt = leaf.NotBefore
	return &Error{p.paths[0], fmt.Errorf("holds a certificate that is not valid before %s",
		leaf.NotBefore.UTC().Format(time.RFC3339)), "check this machine's clock; the current certificate stays in use until then"}
}

// readFile reads a file of limited size.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && info.Size() > maxFile {
		return nil, &Error{path, fmt.Errorf("has %d bytes", info.Size()), "give the path of a PEM file"}
	}
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, &Error{path, errors.New("is not a regular file"), "give the path of a PEM file"}
	}
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{path, cause(err), "give the path of an existing file"}
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{path, cause(err), "make it readable by the user that runs this"}
	}
	return nil, &Error{path, cause(err), "give the path of a PEM file"}
}

// parseAuthorities parses CA certificates, all of which must be valid.
func parseAuthorities(paths []string, contents [][]byte) (*x509.CertPool, error) {
	const hint = "give the path of a file with the certificates of authorities, in PEM"
	pool := x509.NewCertPool()
	for i, rest := range contents {
		found := 0
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if block.Type != "CERTIFICATE" {
				return nil, &Error{paths[i], fmt.Errorf("holds a PEM block of type %q; only certificates are allowed", block.Type), hint}
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, &Error{paths[i], fmt.Errorf("holds a broken certificate: %w", err), "replace the file with a complete one"}
			}
			pool.AddCert(cert)
			found++
		}
		switch {
		case bytes.Contains(rest, []byte("-----BEGIN")):
			return nil, &Error{paths[i], errors.New("ends in the middle of a certificate"), "replace the file with a complete one"}
		case found == 0:
			return nil, &Error{paths[i], errors.New("holds no certificate in PEM"), hint}
		}
	}
	return pool, nil
}
