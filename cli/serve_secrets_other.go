//go:build !unix

package cli

import (
	"log/slog"

	"github.com/handfast/handfast/config"
)

// warnReadable does nothing: the mode of a file has no bits for other users on this system.
func warnReadable(*slog.Logger, *config.Config) {}
