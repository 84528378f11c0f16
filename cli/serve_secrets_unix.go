//go:build unix

package cli

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// warnReadable logs the files with secrets that every user of the machine can read.
func warnReadable(log *slog.Logger, cfg *config.Config) {
	for _, name := range cfg.Secrets() {
		if !readableByAll(name) {
			continue
		}
		hint := "make it readable only by the user that runs this server"
		if readableByOwner(name) {
			hint = "chmod 600 " + shellQuote(name)
		}
		log.Warn("every user of this machine can read this file, which contains a secret or the hash of one",
			observe.KeyFile, name, observe.KeyHint, hint)
	}
}

// readableByAll reports whether every user can read a file: the modes of the file and of all directories above it must allow that.
func readableByAll(name string) bool {
	name, err := filepath.EvalSymlinks(name)
	for need := fs.FileMode(0o004); err == nil; need = 0o001 {
		var info fs.FileInfo
		if info, err = os.Stat(name); err != nil || info.Mode().Perm()&need == 0 {
			return false
		}
		above := filepath.Dir(name)
		if above == name {
			return true
		}
		name = above
	}
	return false
}

// readableByOwner reports whether this process can still read a file after a chmod 600. Otherwise the server could not read the file after the user
// followed the advice.
func readableByOwner(name string) bool {
	info, err := os.Stat(name)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return os.Geteuid() == 0 || ok && int(stat.Uid) == os.Geteuid()
}
