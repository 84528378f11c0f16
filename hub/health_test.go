package hub_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/hub"
)

// states are the reported engine states; "" means that the engine works.
type states struct {
	mu  sync.Mutex
	all []string
}

func (s *states) add(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.all = append(s.all, text)
}

// want waits until no further report arrives, and compares the reports since the last call; each must contain the wanted text.
func (s *states) want(t *testing.T, what string, want ...string) {
	t.Helper()
	<-time.After(time.Minute)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.EqualFunc(s.all, want, func(a, b string) bool { return (a == "") == (b == "") && strings.Contains(a, b) }) {
		t.Errorf("%s: reported %q, want %q", what, s.all, want)
	}
	s.all = nil
}

// A change of the engine's state is reported once, whether Run fails or the engine does not respond.
func TestEngineState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := hub.NewMemory()
		e := newRestarted(m)
		var s states
		h := start(t, hub.Options{Engine: e, EngineState: s.add})
		s.want(t, "the engine works", "")
		e.answer(errors.New("no leader"))
		s.want(t, "probes fail", "probing the engine: no leader")
		e.answer(errors.New("no leader yet"))
		s.want(t, "and fail in another way")
		e.refuse(errors.New("a wrong password"))
		s.want(t, "the engine ends, each time that it is started", "the engine has failed: a wrong password")
		e.refuse(errors.New("another one"))
		s.want(t, "and for another reason", "the engine has failed: another one")
		e.refuse(nil)
		s.want(t, "it runs, and does not answer")
		e.answer(nil)
		s.want(t, "it answers", "")
		e.restart(m)
		s.want(t, "it ends once", "the engine has failed: the server has restarted", "")
		e.answer(errors.New("no leader"))
		s.want(t, "probes fail again", "no leader")
		h.Close()
		s.want(t, "the hub is closed")
	})
}

// Without probes, the engine's state is determined by Run.
func TestEngineStateWithoutProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newRestarted(hub.NewMemory())
		var s states
		start(t, hub.Options{Engine: e, EngineState: s.add, ProbeEvery: -1})
		s.want(t, "nothing is known")
		e.restart(hub.NewMemory())
		s.want(t, "the engine ends once", "the server has restarted", "")
	})
}
