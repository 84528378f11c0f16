package auth

import (
	"context"
	"fmt"
)

// FileKeys are the keys in a file.
type FileKeys struct {
	// OnError, if it is not nil, is called when the file has changed and cannot be used; the keys that were there stay. It is
	// set before the first use, and called by any goroutine that needs a key: it must return soon.
	OnError func(error)

	*storeFile[keySet]
}

// KeyFile reads keys from a file, in any form that [Keys] takes. When the file has changed, or another has taken its place,
// it is read again, within a second of the next token. A file that cannot be used then changes nothing. It holds nothing
// open.
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
