// Package statedir has the directory in which the programs of one user keep what outlives them.
package statedir

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// Dir returns that directory: $XDG_STATE_HOME/handfast where the variable has an absolute path, and else
// ~/.local/state/handfast, on macOS ~/Library/Application Support/handfast, on Windows %LocalAppData%\handfast. It makes
// nothing.
func Dir() (string, error) { return dir(runtime.GOOS, os.Getenv, os.UserHomeDir) }

func dir(goos string, getenv func(string) string, home func() (string, error)) (string, error) {
	state, err := stateHome(goos, getenv, home)
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "handfast"), nil
}

// stateHome returns where all programs of this user keep what outlives them.
func stateHome(goos string, getenv func(string) string, home func() (string, error)) (string, error) {
	// A relative path there is invalid and to be ignored, says the XDG Base Directory Specification.
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
