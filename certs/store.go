package certs

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// checkDir checks that only its owner can read a directory. An empty directory is reported as fs.ErrNotExist, like a missing
// one.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		return &Error{dir, cause(err), "check who owns it"}
	}
	if !info.IsDir() {
		return &Error{dir, errors.New("is not a directory"), "remove that file"}
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return &Error{dir, cause(err), "run chmod 700 on it as its owner"}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return &Error{dir, cause(err), "check who owns it"}
	}
	if len(entries) == 0 {
		return fs.ErrNotExist
	}
	return nil
}

// readPrivate reads a file with a key. It refuses a file that other users can read or write, because they may have read the key or replaced
// it.
func readPrivate(path, hint string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{path, fs.ErrNotExist, hint}
	}
	if err != nil {
		return nil, &Error{path, cause(err), "check who owns it"}
	}
	// Windows has no such permission bits; the directory in the user's profile is private there.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		err := fmt.Errorf("other users can read this key: its mode is %#o", info.Mode().Perm())
		return nil, &Error{path, err, hint}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{path, cause(err), "check who owns it, or " + hint}
	}
	return b, nil
}

// readKey reads the CA's key.
func readKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := readPrivate(path, renewHint)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, &Error{path, errors.New("holds no PEM block"), renewHint}
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, &Error{path, errors.New("holds no private key"), renewHint}
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, &Error{path, fmt.Errorf("holds a key of type %T instead of an ECDSA key", parsed), renewHint}
	}
	return key, nil
}

// readCertificate reads the first certificate in a file. If there is no file, the error is fs.ErrNotExist.
func readCertificate(path, hint string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{path, cause(err), hint}
	}
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return nil, &Error{path, errors.New("holds no certificate in PEM"), hint}
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &Error{path, fmt.Errorf("holds a broken certificate: %w", err), hint}
		}
		return cert, nil
	}
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// replaceFile replaces a private file atomically, so that readers see either the old or the new content.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp creates the file with mode 0600
	if err != nil {
		return &Error{filepath.Dir(path), cause(err), "make that directory writable"}
	}
	tmp := f.Name()
	f.Close()
	err = writeFile(tmp, data, 0o600)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return &Error{path, cause(err), "make that directory writable"}
	}
	return nil
}

// writeFile writes a file and syncs it to disk before it returns, so that the file is complete after a later rename, even after a crash.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
