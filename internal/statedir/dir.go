// Package statedir provides the directory for persistent files of one user's programs.
package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// Dir returns the directory for persistent files of this user: $XDG_STATE_HOME/handfast if the variable is an absolute path,
// otherwise ~/.local/state/handfast, on macOS ~/Library/Application Support/handfast, on Windows %LocalAppData%\handfast. It does
// not create the directory.
func Dir() (string, error) { return dir(runtime.GOOS, os.Getenv, os.UserHomeDir) }

func dir(goos string, getenv func(string) string, home func() (string, error)) (string, error) {
	state, err := stateHome(goos, getenv, home)
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "handfast"), nil
}

// stateHome returns the directory for persistent files of all programs of this user.
func stateHome(goos string, getenv func(string) string, home func() (string, error)) (string, error) {
	// According to the XDG Base Directory Specification, a relative path is invalid and must be ignored.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if goos == "windows" {
		if dir := getenv("LocalAppData"); dir != "" {
			return dir, nil
		}
		return "", errors.New("no directory to keep state in: %LocalAppData% is not set")
	}
	dir, err := home()
	if err != nil || dir == "" {
		return "", errors.New("no directory to keep state in: set HOME or XDG_STATE_HOME")
	}
	if goos == "darwin" {
		return filepath.Join(dir, "Library", "Application Support"), nil
	}
	return filepath.Join(dir, ".local", "state"), nil
}
