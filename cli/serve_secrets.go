package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// warnReadable logs the files with secrets that every user of the machine can read. file is that of the configuration.
func warnReadable(log *slog.Logger, cfg *config.Config, file string) {
	if runtime.GOOS == "windows" { // where the mode says nothing about others
		return
	}
	if absolute, err := filepath.Abs(file); err == nil {
		file = absolute // as in Files
	}
	for _, name := range cfg.Files() {
		info, err := os.Stat(name)
		if err != nil || name == file || info.Mode().Perm()&0o004 == 0 {
			continue
		}
		log.Warn("every user of this machine can read this secret", observe.KeyFile, name, observe.KeyHint, "chmod 600 "+shellQuote(name))
	}
}
