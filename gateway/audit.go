package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/handfast/handfast/config"
)

// audit is the log of who did what, a stream of its own. What goes into it is chosen field by field, and no field is a
// credential. A nil audit writes nothing.
type audit struct {
	out    *auditFile // nil: not to a file
	logger *slog.Logger
}

// openAudit opens what cfg names; nil when that is nothing.
func openAudit(cfg config.Audit, stdout, stderr io.Writer) (*audit, error) {
	a := &audit{}
	var w io.Writer
	switch cfg.To {
	case "stdout":
		w = stdout
	case "stderr":
		w = stderr
	case "file":
		a.out = &auditFile{path: string(cfg.File)}
		if err := a.out.reopen(); err != nil {
			return nil, err
		}
		w = a.out
	}
	if w == nil {
		return nil, nil
	}
	if cfg.Format == "text" {
		a.logger = slog.New(slog.NewTextHandler(w, nil))
	} else {
		a.logger = slog.New(slog.NewJSONHandler(w, nil))
	}
	return a, nil
}

// log writes one line. Attributes that are empty texts are left out.
func (a *audit) log(event string, attrs ...any) {
	if a == nil {
		return
	}
	kept := attrs[:0:0]
	for i := 0; i+1 < len(attrs); i += 2 {
		if s, ok := attrs[i+1].(string); !ok || s != "" {
			kept = append(kept, attrs[i], attrs[i+1])
		}
	}
	a.logger.Info(event, kept...)
}

// reopen opens the file anew, for those who rotate it.
func (a *audit) reopen() error {
	if a == nil || a.out == nil {
		return nil
	}
	return a.out.reopen()
}

func (a *audit) close() {
	if a != nil && a.out != nil {
		a.out.close()
	}
}

// auditFile is a file that is appended to.
type auditFile struct {
	path string
	mu   sync.Mutex
	file *os.File
}

// reopen takes whatever file has the path now. The one before stays in use when that fails.
func (f *auditFile) reopen() error {
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		f.file.Close()
	}
	f.file = file
	return nil
}

// Write appends.
func (f *auditFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Write(p)
}

func (f *auditFile) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.file.Close()
}
