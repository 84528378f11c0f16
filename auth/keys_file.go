package auth

import (
	"context"
	"fmt"
)

// FileKeys are the keys in a file.
type FileKeys struct {
	// OnError, if not nil, is called if the file has changed and cannot be used; the previous keys then remain in use. OnError must
	// be set before the first use. Any goroutine that needs a key may call it, so it must return quickly.
	OnError func(error)

	*storeFile[keySet]
}

// KeyFile reads keys from a file, in any format that [Keys] accepts. When a token is verified, the file is checked at most once per
// second, and read again if it was changed or replaced. If it cannot be used then, the previous keys remain in use. The file is not
// kept open.
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
