package statedir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// NewSecret returns 192 random bits as 48 hexadecimal digits.
func NewSecret() string {
	var b [24]byte
	rand.Read(b[:]) //nolint:errcheck // crypto/rand.Read never fails
	return hex.EncodeToString(b[:])
}

// Secret returns the secret in the file name in [Dir]. The first caller creates the file, which only its owner can read. Several
// processes may call it concurrently: all of them get the same secret. An error names the file and the next step.
func Secret(name string) (string, error) {
	dir, err := Dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := makeSecret(dir, path); err != nil {
		return "", err
	}
	return readSecret(path)
}

// readSecret reads a secret. A file that others can read is an error.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("other users can read the secret in %s: remove the file; a new secret is then generated", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(b))
	if len(secret) != len(NewSecret()) {
		return "", fmt.Errorf("%s does not contain a secret: remove the file; a new secret is then generated", path)
	}
	return secret, nil
}

// makeSecret creates the file of a secret atomically: the link fails if another process was faster, and then that process's secret
// is used.
func makeSecret(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".secret-*") // CreateTemp sets the mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // Remove only deletes the temporary name
	_, err = f.WriteString(NewSecret() + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
