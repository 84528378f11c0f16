package gateway

import (
	"log/slog"
	"sync"
	"time"

	"github.com/handfast/handfast/observe"
)

// The limits on log lines about rejections, denied actions and failed requests to servers: about 130 lines per second, for any number of
// clients.
const (
	floodWindow   = time.Second
	linesPerKind  = 3  // the number of lines of one kind per window
	maxFloodKinds = 32 // the number of kinds per window
)

// floodKind is the kind of a log line. The first lines of a kind are logged, and the others are counted.
type floodKind struct {
	addr, endpoint string
	stage          string // the stage of the failed handshake
	status         int    // the status of the reply to the handshake
	action         string // the action that an admitted client was denied
	server         string // the server that has failed a request
}

// flood limits the log lines that clients can cause. It allows the first few lines of each kind per second, and then logs how many lines of
// that kind were omitted. The audit log contains all lines.
type flood struct {
	log  *slog.Logger
	more string // the event of the lines that report omitted lines

	mu           sync.Mutex
	began        time.Time // the beginning of the window
	seen         map[floodKind]int
	omittedOther int         // the number of omitted lines whose kinds are beyond maxFloodKinds
	timer        *time.Timer // ends the window and reports the omitted lines; nil if no line was omitted
}

// allow reports whether a line should be logged.
func (f *flood) allow(kind floodKind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.timer == nil && now.Sub(f.began) >= floodWindow {
		f.began, f.seen = now, make(map[floodKind]int, 4)
	}
	if n, known := f.seen[kind]; known || len(f.seen) < maxFloodKinds {
		f.seen[kind] = n + 1
		if n < linesPerKind {
			return true
		}
	} else {
		f.omittedOther++
	}
	if f.timer == nil {
		f.timer = time.AfterFunc(max(0, f.began.Add(floodWindow).Sub(now)), f.flush)
	}
	return false
}

// flush logs the number of omitted lines, and starts a new window.
func (f *flood) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer == nil {
		return // no line was omitted, or the number has been logged already
	}
	f.timer.Stop()
	f.timer = nil
	for kind, n := range f.seen {
		if n <= linesPerKind {
			continue
		}
		attrs := []any{observe.KeyMore, n - linesPerKind}
		switch {
		case kind.server != "":
			attrs = append(attrs, observe.KeyServer, kind.server)
		case kind.action != "":
			attrs = append(attrs, observe.KeyAction, kind.action, observe.KeyAddr, kind.addr)
		default:
			attrs = append(attrs, observe.KeyStage, kind.stage, observe.KeyStatus, kind.status, observe.KeyAddr, kind.addr)
		}
		if kind.endpoint != "" {
			attrs = append(attrs, observe.KeyEndpoint, kind.endpoint)
		}
		f.log.Info(f.more, attrs...)
	}
	if f.omittedOther > 0 {
		f.log.Info(f.more, observe.KeyMore, f.omittedOther)
	}
	f.seen, f.omittedOther = nil, 0
	f.began = time.Time{}
}
