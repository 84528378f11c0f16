package certs

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// DevDir returns the directory of this user's development certificates: the directory "dev" in $XDG_STATE_HOME/handfast
// where that variable holds an absolute path, and else in ~/.local/state/handfast, on macOS in
// ~/Library/Application Support/handfast, on Windows in %LocalAppData%\handfast. It makes nothing.
func DevDir() (string, error) { return devDir(runtime.GOOS, os.Getenv, os.UserHomeDir) }

func devDir(goos string, getenv func(string) string, home func() (string, error)) (string, error) {
	state, err := stateHome(goos, getenv, home)
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "handfast", "dev"), nil
}

// stateHome returns where the programs of this user keep what outlives them.
func stateHome(goos string, getenv func(string) string, home func() (string, error)) (string, error) {
	// A relative path there is invalid and to be ignored, says the XDG Base Directory Specification.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	if goos == "windows" {
		if dir := getenv("LocalAppData"); dir != "" {
			return dir, nil
		}
		return "", errors.New("no directory to keep the development certificate in: %LocalAppData% is not set")
	}
	dir, err := home()
	if err != nil || dir == "" {
		return "", errors.New("no directory to keep the development certificate in: set HOME or XDG_STATE_HOME")
	}
	if goos == "darwin" {
		return filepath.Join(dir, "Library", "Application Support"), nil
	}
	return filepath.Join(dir, ".local", "state"), nil
}
