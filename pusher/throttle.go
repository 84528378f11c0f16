package pusher

import (
	"sync"
	"time"
)

// throttleTime is how often a throttle calls a function for one key at most.
const throttleTime = time.Second

// throttle calls functions at most once a second for each key, from goroutines of its own. The zero value is ready.
type throttle struct {
	mu   sync.Mutex
	keys map[string]bool // called for within the last second: whether to call again then
}

// do calls f, unless a function was called for key within the last second. Then, with again, that one is called once more when the
// second is over.
func (t *throttle) do(key string, again bool, f func()) {
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
	time.AfterFunc(0, func() { t.call(key, f) })
}

// call calls f, and sees to the key a second later.
func (t *throttle) call(key string, f func()) {
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
			t.call(key, f)
		}
	})
}

// idle reports whether nothing was called within the last second.
func (t *throttle) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.keys) == 0
}
