package certs

import (
	"path/filepath"

	"github.com/handfast/handfast/internal/statedir"
)

// DevDir returns the directory of this user's development certificates: the directory "dev" in $XDG_STATE_HOME/handfast
// where that variable holds an absolute path, and else in ~/.local/state/handfast, on macOS in
// ~/Library/Application Support/handfast, on Windows in %LocalAppData%\handfast. It makes nothing.
func DevDir() (string, error) {
	dir, err := statedir.Dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "dev"), nil
}
