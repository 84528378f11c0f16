package cli

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/handfast/handfast/internal/limit"
	"github.com/handfast/handfast/observe"
)

// stdLinesPerSecond is the maximum number of lines from the standard library that are logged per second, so that such lines cannot fill the
// log.
const stdLinesPerSecond = 3

// stdLines writes messages of the standard library, such as those of net/http about connections to servers, to the server's log.
type stdLines struct {
	log *slog.Logger

	mu      sync.Mutex
	bucket  limit.Bucket
	omitted int // the number of lines omitted since the last logged one
}

// redirectStdLog directs the log of the standard library to a server's log until the returned function is called.
func redirectStdLog(l *slog.Logger) (restore func()) {
	out, flags, prefix := log.Writer(), log.Flags(), log.Prefix()
	log.SetFlags(0)
	log.SetPrefix("")
	log.SetOutput(&stdLines{log: l})
	return func() {
		log.SetOutput(out)
		log.SetFlags(flags)
		log.SetPrefix(prefix)
	}
}

// Write logs one line.
func (s *stdLines) Write(line []byte) (int, error) {
	s.mu.Lock()
	ok, _ := s.bucket.Allow(time.Now(), stdLinesPerSecond, stdLinesPerSecond)
	left := s.omitted
	if s.omitted = 0; !ok {
		s.omitted = left + 1
	}
	s.mu.Unlock()
	if ok {
		attrs := []slog.Attr{slog.String(observe.KeyError, string(bytes.TrimSpace(line)))}
		if left > 0 {
			attrs = append(attrs, slog.Int(observe.KeyMore, left))
		}
		s.log.LogAttrs(context.Background(), slog.LevelWarn, observe.EventLibrary, attrs...)
	}
	return len(line), nil
}
