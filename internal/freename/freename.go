// Package freename finds names for new files that can safely be pasted into a command.
package freename

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxNames limits the number of names that are tried.
const maxNames = 1000

// Of returns an unused path: path itself, or path with a number before its extension, as in key-2.pem.
func Of(path string) string {
	ext := filepath.Ext(path)
	name := path
	for i := 2; i < maxNames && taken(name); i++ {
		name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), i, ext)
	}
	return name
}

// taken reports whether a path is in use. An unknown state counts as in use.
func taken(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
