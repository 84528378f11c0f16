package balance

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A sequence of operations on a Pool, generated from bytes, is compared with a model of the Pool. The model has no policy and no
// backoff: it only determines which upstreams may be chosen.
type sequence struct {
	t    *testing.T
	now  time.Time
	pool *Pool
	in   []byte

	model map[string]*modelUpstream
	held  []*Upstream // one element for each connection
}

type modelUpstream struct {
	spec             Spec
	listed           bool
	drained, leaving bool
	down, probed     bool
	contradicting    int // consecutive probes that contradict the verdict
	live             int
}

var sequenceIDs = []string{"a", "b", "c", "d", "e", "f"}

const sequenceRise, sequenceFall = 2, 3

var sequenceEjection = Ejection{Failures: 3, Share: 0.4, Base: 2 * time.Second, Max: 10 * time.Second}

func runSequence(t *testing.T, policy Policy, in []byte) {
	t.Helper()
	s := &sequence{
		t: t, in: in, now: time.Unix(1000, 0), model: map[string]*modelUpstream{},
		pool: NewPool(Options{Policy: policy, SlowStart: 5 * time.Second, Rise: sequenceRise, Fall: sequenceFall, Ejection: sequenceEjection}),
	}
	s.set()
	for len(s.in) > 0 && !t.Failed() {
		s.step()
		s.check()
	}
}

// byte returns the next byte of the input, or 0 at its end.
func (s *sequence) byte() int {
	if len(s.in) == 0 {
		return 0
	}
	b := s.in[0]
	s.in = s.in[1:]
	return int(b)
}

func (s *sequence) id() string { return sequenceIDs[s.byte()%len(sequenceIDs)] }

func (s *sequence) step() {
	switch op := s.byte() % 16; op {
	default: // 0 to 5
		s.acquire()
	case 6, 7:
		s.release()
	case 8, 9, 10:
		s.outcome()
	case 11:
		s.probe()
	case 12:
		s.drain(s.byte()%4 != 0)
	case 13:
		s.now = s.now.Add(time.Duration(s.byte()) * 50 * time.Millisecond)
	case 14:
		s.set()
	case 15:
		if len(s.held) > 0 {
			u := s.held[s.byte()%len(s.held)]
			s.pool.ReportLoad(s.now, u, s.byte()%16)
		}
	}
}

// set lists some of the upstreams, with weights and capacities.
func (s *sequence) set() {
	listed := s.byte()
	var specs []Spec
	for i, id := range sequenceIDs {
		if listed>>i&1 == 0 {
			continue
		}
		b := s.byte()
		specs = append(specs, Spec{ID: id, Weight: b % 4, Capacity: b >> 2 % 8 * 3})
	}
	if err := s.pool.Set(s.now, specs); err != nil {
		s.t.Fatal(err)
	}
	for _, m := range s.model {
		m.listed = false
	}
	for _, spec := range specs {
		if s.model[spec.ID] == nil {
			s.model[spec.ID] = &modelUpstream{}
		}
		s.model[spec.ID].spec, s.model[spec.ID].listed = spec, true
	}
	s.forget()
}

func (s *sequence) forget() {
	for id, m := range s.model {
		if !m.listed && m.live == 0 {
			delete(s.model, id)
		}
	}
}

// acquire checks that the chosen upstream may be chosen, and that no acquisition is refused that is possible.
func (s *sequence) acquire() {
	b := s.byte()
	var tried []*Upstream
	for n := b % 4; n > 0 && len(s.held) > 0; n-- {
		tried = append(tried, s.held[s.byte()%len(s.held)])
	}
	states := map[string]Status{}
	var want []string
	full := false
	for _, st := range s.pool.Status(s.now) {
		states[st.ID] = st
		m := s.model[st.ID]
		if m == nil || !m.listed || m.down || m.drained || m.leaving || st.State == Ejected ||
			slices.ContainsFunc(tried, func(u *Upstream) bool { return u.id == st.ID }) {
			continue
		}
		if m.spec.Capacity > 0 && max(st.Load, m.live) >= m.spec.Capacity {
			full = true
			continue
		}
		want = append(want, st.ID)
	}
	key := []string{"", "x", "y", "z"}[b>>2%4]
	u, err := s.pool.Acquire(s.now, key, tried...)
	switch {
	case err == nil && !slices.Contains(want, u.id):
		s.t.Fatalf("chose %+v with %+v, tried %d; one of %v may be chosen", states[u.id], s.model[u.id], len(tried), want)
	case err == nil:
		s.held = append(s.held, u)
		s.model[u.id].live++
	case len(want) > 0:
		s.t.Fatalf("%v, but %v may be chosen", err, want)
	default:
		s.refused(err, full, tried)
	}
}

// refused checks that an error contains a reason for each upstream in the list.
func (s *sequence) refused(err error, full bool, tried []*Upstream) {
	var e *Unavailable
	if !errors.As(err, &e) {
		s.t.Fatalf("got an error of type %T, want *Unavailable", err)
	}
	if errors.Is(err, ErrFull) != full || errors.Is(err, ErrNone) == full {
		s.t.Fatalf("got %v, want ErrFull %v", err, full)
	}
	if e.RetryAfter < time.Second || e.RetryAfter > 30*time.Second {
		s.t.Fatalf("got Retry-After %v, want 1s to 30s", e.RetryAfter)
	}
	listed := 0
	for _, m := range s.model {
		if m.listed {
			listed++
		}
	}
	if len(e.Reasons) != listed {
		s.t.Fatalf("got %d reasons, want %d: %v", len(e.Reasons), listed, err)
	}
	for _, r := range e.Reasons {
		m := s.model[r.ID]
		var right bool
		switch r.State {
		case Tried:
			right = slices.ContainsFunc(tried, func(u *Upstream) bool { return u.id == r.ID })
		case Down:
			right = m.down
		case Draining:
			right = m.drained || m.leaving
		case Full:
			right = m.spec.Capacity > 0
		case Ejected:
			right = true // the model does not predict ejections
		}
		if !right {
			s.t.Fatalf("got reason %v, want one that fits %+v", r, m)
		}
	}
}

func (s *sequence) release() {
	if len(s.held) == 0 {
		return
	}
	i := s.byte() % len(s.held)
	u := s.held[i]
	s.held = slices.Delete(s.held, i, i+1)
	s.pool.Release(s.now, u)
	s.model[u.id].live--
	s.forget()
}

// outcome reports an outcome for an upstream that may have been forgotten.
func (s *sequence) outcome() {
	if len(s.held) == 0 {
		return
	}
	u := s.held[s.byte()%len(s.held)]
	o := []Outcome{OK, Unreachable, Failed, ClosedEarly}[s.byte()%4]
	if s.pool.Outcome(s.now, u, o) && (o == OK || s.model[u.id].down) {
		s.t.Fatalf("outcome %s ejected %s: %+v", o, u.id, s.model[u.id])
	}
}

func (s *sequence) probe() {
	id := s.id()
	var result error
	if s.byte()%2 == 0 {
		result = errors.New("connection refused")
	}
	changed := s.pool.Probe(s.now, id, result)
	m := s.model[id]
	if m == nil {
		if changed {
			s.t.Fatal("a probe of an unknown upstream returned a change")
		}
		return
	}
	was := m.down
	if m.down == (result != nil) {
		m.contradicting = 0
	} else {
		m.contradicting++
		if !m.probed || m.down && m.contradicting == sequenceRise || !m.down && m.contradicting == sequenceFall {
			m.down, m.contradicting = !m.down, 0
		}
	}
	m.probed = true
	if changed != (m.down != was) {
		s.t.Fatalf("probe of %s: changed %v, want %v", id, changed, !changed)
	}
}

func (s *sequence) drain(on bool) {
	id := s.id()
	m := s.model[id]
	byServer := s.byte()%2 == 0
	do := s.pool.Drain
	if byServer {
		do = s.pool.DrainReported
	}
	if known := do(s.now, id, on); known != (m != nil) {
		s.t.Fatalf("drain of %s: got known %v, want %v", id, known, m != nil)
	}
	if m == nil {
		return
	}
	if byServer {
		m.leaving = on
	} else {
		m.drained = on
	}
}

// check compares the Pool with the model after each step.
func (s *sequence) check() {
	all := s.pool.Status(s.now)
	listed, ejected, serving := 0, 0, 0
	for _, st := range all {
		m := s.model[st.ID]
		if m == nil {
			s.t.Fatalf("got %+v, want no such upstream", st)
		}
		if st.Live != m.live || st.Load < st.Live || st.Weight != max(m.spec.Weight, 1) || st.Capacity != m.spec.Capacity {
			s.t.Fatalf("got %+v, want %+v", st, m)
		}
		if st.Share < 0.1 || st.Share > 1 {
			s.t.Fatalf("%s: got a share of %v, want 0.1 to 1", st.ID, st.Share)
		}
		if m.listed != (st.State != Removed) || m.listed && m.down != (st.State == Down) ||
			m.listed && !m.down && (m.drained || m.leaving) != (st.State == Draining) {
			s.t.Fatalf("got %+v, want %+v", st, m)
		}
		if m.listed {
			listed++
		}
		if m.listed && !st.Ejected.IsZero() {
			ejected++
			if left := st.Ejected.Sub(s.now); left <= 0 || left > sequenceEjection.Max {
				s.t.Fatalf("%s: got an ejection for another %v, want more than 0 and at most %v", st.ID, left, sequenceEjection.Max)
			}
		}
		if st.State == Ready || st.State == Full {
			serving++
		}
	}
	if len(all) != len(s.model) {
		s.t.Fatalf("%d upstreams, want %d", len(all), len(s.model))
	}
	if ejected > 0 && serving == 0 {
		s.t.Fatalf("%d upstreams are ejected although no other one serves: %+v", ejected, all)
	}
	if ejected > max(1, int(sequenceEjection.Share*float64(listed))) {
		s.t.Fatalf("got %d of %d upstreams ejected, want a share of at most %v", ejected, listed, sequenceEjection.Share)
	}
}

// policies returns one policy of each kind, with a seed.
func policies(seed uint64) map[string]Policy {
	return map[string]Policy{
		"power of two":      PowerOfTwo(rand.NewPCG(seed, 1)),
		"least connections": LeastConnections(),
		"hash":              Hash(0, rand.NewPCG(seed, 2)),
		"round robin":       RoundRobin(),
	}
}

var policyNames = []string{"power of two", "least connections", "hash", "round robin"}

// A thousand random sequences: no upstream is chosen that is down, ejected, draining, full, removed or tried, and no acquisition is
// refused while one may be chosen; counts and health survive each change of the list.
func TestSequences(t *testing.T) {
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		in := make([]byte, 200+rnd.IntN(400))
		for i := range in {
			in[i] = byte(rnd.Uint32())
		}
		in[0] |= byte(seed / 4) // most sequences begin with a long list
		name := policyNames[seed%4]
		runSequence(t, policies(seed)[name], in)
		if t.Failed() {
			t.Fatalf("failed with seed %d, policy %s", seed, name)
		}
	}
}

func FuzzSequence(f *testing.F) {
	f.Add(uint8(0), []byte{0xff, 1, 2, 3, 4, 5, 6, 0, 0, 0, 4, 9, 0, 1, 9, 0, 1, 9, 0, 1, 0, 0, 13, 200, 0, 0})
	f.Add(uint8(1), []byte{0x03, 0, 4, 0, 0, 0, 0, 0, 0, 14, 0x01, 0, 6, 0, 12, 1, 0, 0, 0, 0, 14, 0x03, 5, 5, 0, 0})
	f.Add(uint8(2), []byte{0x3f, 0, 1, 2, 3, 0, 1, 0, 4, 0, 8, 0, 12, 11, 0, 0, 11, 0, 0, 11, 0, 0, 0, 4, 15, 0, 9, 0, 4})
	f.Add(uint8(3), []byte{0x07, 1, 2, 3, 0, 0, 0, 0, 0, 0, 8, 0, 1, 8, 0, 1, 8, 0, 1, 8, 1, 1, 8, 1, 1, 8, 1, 1, 13, 255, 0, 0})
	f.Fuzz(func(t *testing.T, policy uint8, in []byte) {
		runSequence(t, policies(1)[policyNames[int(policy)%len(policyNames)]], in)
	})
}
