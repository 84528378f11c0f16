package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/observe"
)

// audit is the audit log, which is separate from the server's log. Its fields are chosen individually, and no field contains a credential.
// A line is written before the event takes effect. If the write fails, the event takes effect nevertheless, and a later line reports how
// many lines are missing. A nil audit writes nothing.
type audit struct {
	out    *auditFile // nil if the log is not a file
	lines  *auditLines
	logger *slog.Logger
}

// openAudit opens the log that cfg specifies; it returns nil if the log is off. failed is called for every lost line unless it is nil.
func openAudit(cfg config.Audit, stdout, stderr io.Writer, failed func(error)) (*audit, error) {
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
	a.lines = &auditLines{out: w, failed: failed}
	opts := &slog.HandlerOptions{ReplaceAttr: observe.ReplaceAttr}
	if cfg.Format == "text" {
		a.logger = slog.New(slog.NewTextHandler(a.lines, opts))
	} else {
		a.logger = slog.New(slog.NewJSONHandler(a.lines, opts))
	}
	return a, nil
}

// log writes one line.
func (a *audit) log(event string, attrs ...any) {
	if a == nil {
		return
	}
	a.logger.Info(event, attrs...)
	if n := a.lines.takeLost(); n > 0 {
		a.logger.Warn(observe.AuditLost, observe.KeyLost, n)
	}
}

// auditLines writes lines, each with a single Write, and counts the lines that failed.
type auditLines struct {
	out    io.Writer
	failed func(error) // may be nil

	mu       sync.Mutex
	lost     int
	lineLost bool // the last line was lost
	partial  bool // the last line was written partially
}

// Write writes one line.
func (l *auditLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := p
	if l.partial {
		line = append([]byte{'\n'}, p...)
	}
	n, err := l.out.Write(line)
	if err == nil {
		l.lineLost, l.partial = false, false
		return len(p), nil
	}
	l.lost++
	l.lineLost, l.partial = true, l.partial || n > 0
	if l.failed != nil {
		l.failed(err)
	}
	return 0, err
}

// takeLost returns 0 if the last line was lost. Otherwise it returns the number of lines lost since takeLost last returned a number
// other than 0.
func (l *auditLines) takeLost() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lineLost || l.lost == 0 {
		return 0
	}
	n := l.lost
	l.lost = 0
	return n
}

// auditLogInterval is the minimum time between two reports that the audit log cannot be written.
const auditLogInterval = time.Minute

// auditFailed records that a line of the audit log is lost.
func (s *recorder) auditFailed(err error) {
	s.metrics.AuditLost.Inc()
	now := time.Now().UnixNano()
	last := s.auditLogged.Load()
	if now-last >= int64(auditLogInterval) && s.auditLogged.CompareAndSwap(last, now) {
		s.log.Error(observe.EventAuditFault, observe.KeyError, err)
	}
}

// reopen opens the file again, for log rotation.
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

// auditFile is a file to which lines are appended.
type auditFile struct {
	path string
	mu   sync.Mutex
	file *os.File
}

// reopen opens the file that is now at the path. If that fails, the previous file stays in use.
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

// Write appends p to the file.
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
