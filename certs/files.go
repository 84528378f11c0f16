package certs

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/handfast/handfast/internal/freename"
)

// LoadFiles reads a certificate, with its chain, and its private key, both in PEM. The two may be in one file. The errors are of
// type [*Error] and name the file at fault. For a server that has to notice changes, use [Open].
func LoadFiles(certFile, keyFile string) (*tls.Certificate, error) {
	certPEM, err := readFile(certFile)
	if err != nil {
		return nil, err
	}
	keyPEM, err := readFile(keyFile)
	if err != nil {
		return nil, err
	}
	return parsePair(certFile, certPEM, keyFile, keyPEM)
}

// parsePair parses the contents of two files as a certificate and its key.
func parsePair(certFile string, certPEM []byte, keyFile string, keyPEM []byte) (*tls.Certificate, error) {
	if err := checkPEM(certFile, certPEM, "CERTIFICATE", "a certificate"); err != nil {
		return nil, err
	}
	if err := checkPEM(keyFile, keyPEM, "PRIVATE KEY", "a private key"); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case err == nil:
		return &pair, nil
	case strings.Contains(err.Error(), "match"): // crypto/tls has no error value for this
		return nil, &Error{keyFile, fmt.Errorf("is not the key of the first certificate in %s", certFile),
			"give the key that this certificate was issued for; the server's own certificate is the first in its file"}
	case strings.Contains(err.Error(), "private key"):
		return nil, &Error{keyFile, fmt.Errorf("holds a broken private key: %w", err), "replace the file with a complete one"}
	}
	return nil, &Error{certFile, fmt.Errorf("holds a broken certificate: %w", err), "replace the file with a complete one"}
}

// checkPEM checks that a file is complete and contains a block whose type ends in kind.
func checkPEM(path string, rest []byte, kind, what string) error {
	found, encrypted := false, false
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.HasSuffix(block.Type, "ENCRYPTED PRIVATE KEY") || block.Headers["DEK-Info"] != "" {
			encrypted = true
		} else {
			found = found || strings.HasSuffix(block.Type, kind)
		}
	}
	switch {
	case bytes.Contains(rest, []byte("-----BEGIN ")): // a block without its END line must be an error: otherwise a truncated chain would be accepted
		return &Error{path, errors.New("ends in the middle of a PEM block"), "replace the file with a complete one"}
	case found:
		return nil
	case encrypted && kind == "PRIVATE KEY":
		return &Error{path, errors.New("its private key is protected by a password"),
			"write the key without a password: openssl pkey -in " + path + " -out " + freename.Of("key.pem")}
	}
	return &Error{path, fmt.Errorf("holds no %s in PEM", strings.TrimPrefix(what, "a ")),
		"give the path of a file that holds " + what + " in PEM"}
}
