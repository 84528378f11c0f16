// Package freename finds names for files that are to be written, so that a command with such a name can be pasted safely.
package freename

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// most bounds how many names are tried.
const most = 1000

// Of returns a path that no file has: path itself, or with a number before its extension, as in key-2.pem.
func Of(path string) string {
	ext := filepath.Ext(path)
	name := path
	for i := 2; i < most && taken(name); i++ {
		name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), i, ext)
	}
	return name
}

// taken reports whether something has a path, or may have it.
func taken(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
