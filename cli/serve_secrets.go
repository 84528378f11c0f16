package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// warnReadable logs the files with secrets that every user of the machine can read. file is the configuration file.
func warnReadable(log *slog.Logger, cfg *config.Config, file string) {
	if runtime.GOOS == "windows" { // the mode has no bits for other users
		return
	}
	if absolute, err := filepath.Abs(file); err == nil {
		file = absolute // absolute, as in cfg.Files
	}
	for _, name := range cfg.Files() {
		info, err := os.Stat(name)
		if err != nil || name == file || info.Mode().Perm()&0o004 == 0 {
			continue
		}
		log.Warn("every user of this machine can read this secret", observe.KeyFile, name, observe.KeyHint, "chmod 600 "+shellQuote(name))
	}
}
