package watch

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	// CheckInterval is the minimum interval at which [Content.Check] looks at the file.
	CheckInterval = time.Second
	// settleTime is how long after its last change a file is read once more although it looks unchanged: some file systems have a
	// time resolution of two seconds, so that a second change within that time is not visible.
	settleTime = 2 * time.Second
)

// Content is the content of one file, for a caller that asks for it whenever it needs it, and that has neither a goroutine nor an end:
// such a caller cannot use [Files]. It follows symbolic links, so that a change of a link counts as a change of the file. It is not safe
// for concurrent use.
type Content struct {
	name string
	max  int // bytes

	seen      fs.FileInfo // the file's attributes when it was last read
	changedAt time.Time   // when the file first had these attributes; zero if it has settled
	digest    [sha256.Size]byte
	checkedAt time.Time
}

// NewContent returns the content of a file, of which it reads at most max bytes. It does not read the file yet.
func NewContent(name string, max int) *Content { return &Content{name: name, max: max} }

// Check reads the file if it may have changed since the last call of Check or Read, but looks at it at most once per [CheckInterval].
// It returns changed as false if the file is as before; so it returns the error of a file that is damaged or missing only once.
func (c *Content) Check() (text string, changed bool, err error) {
	now := time.Now()
	if age := now.Sub(c.checkedAt); age >= 0 && age < CheckInterval {
		return "", false, nil
	}
	return c.read(now, false)
}

// Read reads the file now, whether it has changed or not.
func (c *Content) Read() (string, error) {
	text, _, err := c.read(time.Now(), true)
	return text, err
}

// read reads the file if it looks changed, or if force is true.
func (c *Content) read(now time.Time, force bool) (text string, changed bool, err error) {
	c.checkedAt = now
	info, err := os.Stat(c.name)
	if err != nil {
		known := c.seen != nil
		c.seen = nil // so that the file is read when it reappears
		if known || force {
			return "", true, err
		}
		return "", false, nil
	}
	same := c.seen != nil && sameFile(info, c.seen)
	if same && !force && c.changedAt.IsZero() {
		return "", false, nil
	}
	if !same {
		c.changedAt = now
	} else if now.Sub(c.changedAt) >= settleTime {
		c.changedAt = time.Time{}
	}
	c.seen = info
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		if c.changedAt = (time.Time{}); same && !force {
			return "", false, nil
		}
		return "", true, fmt.Errorf("%s is not a regular file", c.name)
	}
	text, err = readFile(c.name, c.max)
	digest := sha256.Sum256([]byte(text))
	if err != nil {
		digest = sha256.Sum256([]byte(err.Error()))
	}
	if same && !force && digest == c.digest {
		return "", false, nil
	}
	c.digest = digest
	return text, true, err
}

// sameFile reports whether a file looks unchanged.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// readFile reads a whole file, up to a maximum size.
func readFile(name string, max int) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, int64(max)+1))
	if err == nil && len(b) > max {
		err = fmt.Errorf("%s: larger than %d bytes", name, max)
	}
	return string(b), err
}
