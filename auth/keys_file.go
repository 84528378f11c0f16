package auth

import (
	"context"
	"fmt"
)

// FileKeys are the keys in a file.
type FileKeys struct {
	// OnError, if not nil, is called if the file has changed and cannot be used; the previous keys stay. It must be set before the
	// first use, is called by any goroutine that needs a key, and must return soon.
	OnError func(error)

	*storeFile[keySet]
}

// KeyFile reads keys from a file, in any format that [Keys] accepts. If the file was changed or replaced, it is read again, when a
// token is verified, at most a second after the last check. A file that cannot be used then changes nothing. No file is kept open.
func KeyFile(path string) (*FileKeys, error) {
	f := &FileKeys{}
	f.storeFile = newStoreFile(path, maxKeyData, parseKeyFile, func(err error) {
		if f.OnError != nil {
			f.OnError(fmt.Errorf("auth: %w", err))
		}
	})
	if err := f.reload(); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return f, nil
}

func parseKeyFile(name, text string) (keySet, error) {
	keys, err := parseKeys([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return keys, nil
}

// find implements [KeySource].
func (f *FileKeys) find(ctx context.Context, kid string) ([]*key, error) {
	return f.load().find(ctx, kid)
}
