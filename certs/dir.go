package certs

import (
	"path/filepath"

	"github.com/handfast/handfast/internal/statedir"
)

// DevDir returns the directory of this user's development certificates: "dev" in $XDG_STATE_HOME/handfast if that variable is an absolute
// path, otherwise in ~/.local/state/handfast, on macOS in ~/Library/Application Support/handfast, on Windows in %LocalAppData%\handfast.
// DevDir does not create the directory.
func DevDir() (string, error) {
	dir, err := statedir.Dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "dev"), nil
}
