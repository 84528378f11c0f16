package gateway

import (
	"log/slog"
	"sync"
	"time"

	"github.com/handfast/handfast/observe"
)

// The bounds on the log lines about a flood of refusals, of denied actions, or of requests that servers have failed: some 130 a second, from
// however many clients.
const (
	floodWindow = time.Second
	floodEach   = 3  // lines of one kind in a window
	floodKinds  = 32 // kinds in a window
)

// floodKind is what refusals have in common of which the first ones are logged and the rest is counted.
type floodKind struct {
	addr, endpoint string
	stage          string // of a handshake
	status         int    // of its reply
	action         string // of an admitted client
	server         string // that has failed a request
}

// flood bounds the lines that clients can fill a log with: of each kind the first few in a second are logged, and
// then how many more there were. The audit log has all of them.
type flood struct {
	log  *slog.Logger
	more string // the event that says how many more there were

	mu    sync.Mutex
	began time.Time // of the window
	seen  map[floodKind]int
	rest  int         // refusals of further kinds
	timer *time.Timer // tells at the end of the window what was left out; nil means nothing was
}

// allow reports whether a refusal is to be told.
func (f *flood) allow(kind floodKind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.timer == nil && now.Sub(f.began) >= floodWindow {
		f.began, f.seen = now, make(map[floodKind]int, 4)
	}
	if n, known := f.seen[kind]; known || len(f.seen) < floodKinds {
		f.seen[kind] = n + 1
		if n < floodEach {
			return true
		}
	} else {
		f.rest++
	}
	if f.timer == nil {
		f.timer = time.AfterFunc(max(0, f.began.Add(floodWindow).Sub(now)), f.tell)
	}
	return false
}

// tell tells what was left out, and begins anew.
func (f *flood) tell() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer == nil {
		return // it was reported at the end of the server
	}
	f.timer.Stop()
	f.timer = nil
	for kind, n := range f.seen {
		if n <= floodEach {
			continue
		}
		attrs := []any{observe.KeyMore, n - floodEach}
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
	if f.rest > 0 {
		f.log.Info(f.more, observe.KeyMore, f.rest)
	}
	f.seen, f.rest = nil, 0
	f.began = time.Time{}
}
