package certs

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// LoadFiles reads a certificate, with the chain above it, and its private key, both in PEM. The two may be one file. The
// errors are [*Error] and name the file that is to blame.
func LoadFiles(certFile, keyFile string) (*tls.Certificate, error) {
	certPEM, err := readPEM(certFile, "CERTIFICATE", "a certificate")
	if err != nil {
		return nil, err
	}
	keyPEM, err := readPEM(keyFile, "PRIVATE KEY", "a private key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case err == nil:
		return &pair, nil
	case strings.Contains(err.Error(), "match"): // crypto/tls has no error values for these
		return nil, &Error{keyFile, fmt.Errorf("is not the key of the first certificate in %s", certFile),
			"give the key that this certificate was issued for; the server's own certificate comes first in its file"}
	case strings.Contains(err.Error(), "private key"):
		return nil, &Error{keyFile, fmt.Errorf("holds a broken private key: %w", err), "write the file again"}
	}
	return nil, &Error{certFile, fmt.Errorf("holds a broken certificate: %w", err), "write the file again"}
}

// readPEM reads a file and makes sure that there is a block in it whose type ends in kind.
func readPEM(path, kind, what string) ([]byte, error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{path, cause(err), "give the path of a file that holds " + what + " in PEM"}
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{path, cause(err), "let the user that runs this read it"}
	case err != nil:
		return nil, &Error{path, cause(err), ""}
	}
	encrypted := false
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "ENCRYPTED PRIVATE KEY") || block.Headers["DEK-Info"] != "" {
			encrypted = true
			continue
		}
		if strings.HasSuffix(block.Type, kind) {
			return b, nil
		}
	}
	if encrypted && kind == "PRIVATE KEY" {
		return nil, &Error{path, errors.New("the private key in it is locked with a password"),
			"write it without one: openssl pkey -in " + path + " -out key.pem"}
	}
	return nil, &Error{path, fmt.Errorf("holds no %s in PEM", strings.TrimPrefix(what, "a ")),
		"give the path of a file that holds " + what + " in PEM"}
}
