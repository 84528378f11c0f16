package pusher

import (
	"sync"
	"time"
)

// throttleTime is the minimum time between two calls for one key.
const throttleTime = time.Second

// throttle calls functions at most once a second for each key, on its own goroutines. The zero value is ready to use.
type throttle struct {
	mu   sync.Mutex
	keys map[string]bool // the keys with a call within the last second, and whether to repeat the call after that
}

// schedule calls f, unless a function was called for key within the last second. In that case, if again is set, that function is
// called once more when the second has passed.
func (t *throttle) schedule(key string, again bool, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if later, called := t.keys[key]; called {
		t.keys[key] = later || again
		return
	}
	if t.keys == nil {
		t.keys = map[string]bool{}
	}
	t.keys[key] = false
	time.AfterFunc(0, func() { t.run(key, f) })
}

// run calls f, and a second later repeats the call or forgets the key.
func (t *throttle) run(key string, f func()) {
	f()
	time.AfterFunc(throttleTime, func() {
		t.mu.Lock()
		again := t.keys[key]
		if again {
			t.keys[key] = false
		} else {
			delete(t.keys, key)
		}
		t.mu.Unlock()
		if again {
			t.run(key, f)
		}
	})
}

// idle reports whether no function was called within the last second.
func (t *throttle) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.keys) == 0
}
