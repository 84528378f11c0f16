package balance

import (
	"math/rand/v2"
	"testing"
	"time"
)

// slowServer is a server that needs some time for each handshake, one after another.
type slowServer struct {
	serviceTime time.Duration
	free        time.Time // when all handshakes of the server will be done
	end         []handshakeEnd
}

type handshakeEnd struct{ at, began time.Time }

func (s *slowServer) begin(now time.Time) {
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(s.serviceTime)
	s.end = append(s.end, handshakeEnd{s.free, now})
}

// report reports the handshakes that are done by now.
func (s *slowServer) report(now time.Time, storm *Storm) {
	for len(s.end) > 0 && !s.end[0].at.After(now) {
		storm.Done(s.end[0].at, s.end[0].at.Sub(s.end[0].began), true)
		s.end = s.end[1:]
	}
}

// A thousand handshakes per second are admitted, however slow or broken the upstreams are, evenly spaced or in bursts.
func TestStormFloor(t *testing.T) {
	for name, arrive := range map[string]func(i int) time.Duration{
		"spaced": func(i int) time.Duration { return time.Duration(i) * time.Millisecond },
		"bursts": func(i int) time.Duration { return time.Duration(i/1000) * time.Second },
	} {
		for _, resuming := range []bool{false, true} {
			s := NewStorm(StormOptions{Floor: 5})
			for i := range 10_000 {
				now := start.Add(arrive(i))
				if wait := s.Admit(now, resuming); wait != 0 {
					t.Fatalf("%s: handshake %d: got a refusal for %v, want admission: %+v", name, i, wait, s.Status(now))
				}
				s.Begin()
				if i%2 == 0 {
					s.Done(now, time.Minute, false)
				}
			}
			if st := s.Status(start.Add(10 * time.Second)); st.Rate != 1000 || st.Admitted != 10_000 || st.Refused != 0 || st.Underway != 5000 {
				t.Errorf("%s: got %+v, want rate 1000, 10000 admitted, none refused, 5000 in progress", name, st)
			}
		}
	}
}

// demand requests n handshakes, and returns how many were admitted.
func demand(s *Storm, now time.Time, n int, resuming bool) (admitted int) {
	for range n {
		if s.Admit(now, resuming) == 0 {
			s.Begin()
			admitted++
		}
	}
	return admitted
}

// The rate rises by a tenth of the floor in each window in which handshakes are refused and the admitted ones are fast, and falls
// to 0.7 of itself at most once per second.
func TestStormRate(t *testing.T) {
	s := NewStorm(StormOptions{})
	now := start
	underway := demand(s, now, 3000, true)
	step := func(took time.Duration, ok bool, want float64) {
		t.Helper()
		now = now.Add(100 * time.Millisecond)
		for range underway {
			s.Done(now.Add(-1), took, ok)
		}
		underway = demand(s, now.Add(-1), 3000, true)
		if got := s.Status(now).Rate; got < want-0.001 || got > want+0.001 {
			t.Fatalf("after %v: rate %v, want %v", now.Sub(start), got, want)
		}
	}
	const target = 500 * time.Millisecond
	for i := range 40 {
		step(target, true, 1000+float64(i+1)*100)
	}
	step(target+1, true, 3500)
	for range 9 {
		step(time.Minute, true, 3500)
	}
	step(time.Minute, true, 2450)
	for i := range 10 {
		step(0, true, 2450+float64(i+1)*100)
	}
	step(0, false, 2415)
	for range 9 {
		step(0, false, 2415)
	}
	step(0, false, 1690.5)
	for range 9 {
		step(0, false, 1690.5)
	}
	step(0, false, 1183.35)
	for range 9 {
		step(0, false, 1183.35)
	}
	step(0, false, 1000)

	// Without a refusal, or while no handshake ends, the rate does not change.
	now = now.Add(time.Second)
	s.Status(now)
	step(0, true, 1100)
	now = now.Add(5 * time.Second)
	for range underway {
		s.Done(now, 0, true)
	}
	if got := s.Status(now.Add(window)).Rate; got != 1100 {
		t.Errorf("without a refusal: got rate %v, want 1100", got)
	}
	now = now.Add(window)
	demand(s, now, 5000, true)
	if got := s.Status(now.Add(window)).Rate; got != 1100 {
		t.Errorf("while no handshake ends: got rate %v, want 1100", got)
	}
	if got := s.Status(now.Add(time.Minute - 1)).Rate; got != 1100 {
		t.Errorf("less than a minute after the last refusal: got rate %v, want 1100", got)
	}
	if got := s.Status(now.Add(time.Minute)).Rate; got != 1000 {
		t.Errorf("a minute after the last refusal: got rate %v, want 1000", got)
	}
}

// Admitted and refused handshakes are counted by priority.
func TestStormCountsByPriority(t *testing.T) {
	s := limitedStorm(StormOptions{})
	before := s.Status(start)
	resumed := demand(s, start, 3000, true)
	fresh := demand(s, start, 3000, false)
	got := s.Status(start)
	if resumed == 0 || fresh == 0 || got.AdmittedResuming-before.AdmittedResuming != uint64(resumed) || got.RefusedResuming-before.RefusedResuming != uint64(3000-resumed) ||
		got.Admitted-before.Admitted != uint64(resumed+fresh) || got.Refused-before.Refused != uint64(6000-resumed-fresh) {
		t.Errorf("got %+v after %+v, want %d and %d of 3000 admitted", got, before, resumed, fresh)
	}
}

// One handshake in ten may fail; more lower the rate.
func TestStormFailures(t *testing.T) {
	for failed, want := range map[int]float64{10: 1200, 11: 1000} {
		s := limitedStorm(StormOptions{})
		rise := start.Add(window)
		demand(s, start, 3000, true)
		s.Done(start, 0, true)
		s.Status(rise) // the rate is 1100
		for i := range 100 {
			s.Done(rise, 0, i >= failed)
		}
		demand(s, rise, 3000, true)
		if got := s.Status(rise.Add(window)).Rate; got != want {
			t.Errorf("%d of 100 failed: rate %v, want %v", failed, got, want)
		}
	}
}

// If upstreams accept connections and hang, the number of handshakes in progress lowers the rate.
func TestStormHangingUpstreams(t *testing.T) {
	s := limitedStorm(StormOptions{})
	server := slowServer{serviceTime: 100 * time.Microsecond}
	now := start
	for range 6000 {
		now = now.Add(time.Millisecond)
		for range demand(s, now, 10, true) {
			server.begin(now)
		}
		server.report(now, s)
	}
	before := s.Status(now)
	if before.Rate < 4500 {
		t.Fatalf("got %+v, want a rate of 4500 at least", before)
	}
	for range 10_000 {
		now = now.Add(time.Millisecond)
		demand(s, now, 10, true)
	}
	if after := s.Status(now); after.Rate != 1000 {
		t.Errorf("after ten seconds without an end: got rate %v, want 1000 (before: %v, in progress: %d)", after.Rate, before.Rate, after.Underway)
	}
}

// If there is more demand than the upstreams can handle, the rate stays close to their capacity.
func TestStormApproachesCapacity(t *testing.T) {
	for _, capacity := range []int{2000, 6000} {
		s := NewStorm(StormOptions{})
		server := slowServer{serviceTime: time.Second / time.Duration(capacity)}
		now := start
		admitted := 0
		const seconds = 30
		for i := range seconds * 1000 {
			now = now.Add(time.Millisecond)
			n := demand(s, now, 10, i%2 == 0)
			for range n {
				server.begin(now)
			}
			if i >= seconds*500 {
				admitted += n
			}
			server.report(now, s)
		}
		if rate := admitted / (seconds / 2); rate < capacity*3/4 || rate > capacity*21/20 {
			t.Errorf("capacity %d a second: got %d admitted a second, want 0.75 to 1.05 times the capacity", capacity, rate)
		}
		if waiting := server.free.Sub(now); waiting > 2*time.Second {
			t.Errorf("capacity %d a second: got a handshake of %v, want 2s at most", capacity, waiting)
		}
	}
}

// If the rate is not sufficient for all, handshakes that resume a session get nine tenths of it, and the others get one tenth. If
// there is only one kind, it gets the whole rate.
func TestStormPriority(t *testing.T) {
	for _, tt := range []struct {
		resuming, fresh     int // handshakes requested per millisecond
		leastOld, mostOld   int // bounds of the admitted handshakes per second
		leastNew, mostFresh int
	}{
		{3, 3, 880, 920, 80, 110},
		{3, 0, 990, 1010, 0, 0},
		{0, 3, 0, 0, 990, 1010},
		{10, 1, 880, 920, 80, 110},
	} {
		s := NewStorm(StormOptions{})
		var old, fresh int
		now := start
		for i := range 12_000 {
			now = now.Add(time.Millisecond)
			// No handshake ends, so the rate stays at its floor.
			newer := demand(s, now, tt.fresh, false)
			older := demand(s, now, tt.resuming, true)
			if i >= 2000 {
				old, fresh = old+older, fresh+newer
			}
		}
		old, fresh = old/10, fresh/10
		if old < tt.leastOld || old > tt.mostOld || fresh < tt.leastNew || fresh > tt.mostFresh {
			t.Errorf("%d resuming and %d new in a millisecond: %d and %d are admitted in a second", tt.resuming, tt.fresh, old, fresh)
		}
	}
}

// Eight thousand clients connect together and reconnect at the times that they are given: all are admitted within 13 seconds, in
// at most three attempts on average, and at most 20 of them reconnect in the same millisecond.
func TestStormReconnects(t *testing.T) {
	for _, capacity := range []int{1000, 3000, 20_000} {
		s := NewStorm(StormOptions{Source: rand.NewPCG(1, 1)})
		server := slowServer{serviceTime: time.Second / time.Duration(capacity)}
		const clients = 8000
		due := map[int64]int{0: clients} // number of clients by millisecond
		var in, attempts, crowd int
		last := time.Duration(0)
		for ms := int64(0); in < clients && ms < 120_000; ms++ {
			now := start.Add(time.Duration(ms) * time.Millisecond)
			server.report(now, s)
			if ms > 0 {
				crowd = max(crowd, due[ms])
			}
			for i := range due[ms] {
				attempts++
				wait := s.Admit(now, i%4 != 0)
				if wait == 0 {
					s.Begin()
					server.begin(now)
					in++
					last = now.Sub(start)
					continue
				}
				if wait < time.Second || wait > 76*time.Second {
					t.Fatalf("got Retry-After %v, want 1s to 76s", wait)
				}
				due[ms+wait.Milliseconds()]++
			}
		}
		t.Logf("capacity %d a second: all are admitted after %v, in %.2f attempts each, with at most %d in a millisecond", capacity, last, float64(attempts)/clients, crowd)
		if in < clients || last > 13*time.Second || attempts > 3*clients || crowd > 20 {
			t.Errorf("capacity %d a second: got %d of %d admitted after %v in %d attempts, at most %d in one millisecond", capacity, in, clients, last, attempts, crowd)
		}
	}
}

// A refused client has to wait for at most 76 seconds, and no token is promised twice.
func TestStormRetryAfter(t *testing.T) {
	s := limitedStorm(StormOptions{Source: rand.NewPCG(2, 2)})
	demand(s, start, 2000, true)
	var early, late int
	for i := range 200_000 {
		wait := s.Admit(start, true)
		if wait < time.Second || wait > 76*time.Second {
			t.Fatalf("refusal %d: got %v, want 1s to 76s", i, wait)
		}
		if i < 1000 && wait > 2250*time.Millisecond {
			t.Fatalf("refusal %d: got %v, want 2.25s at most", i, wait)
		}
		if i >= 10_000 && i < 11_000 && (wait < 10*time.Second || wait > 15*time.Second) {
			t.Fatalf("refusal %d: got %v, want 10s to 15s", i, wait)
		}
		if i >= 60_000 {
			if wait < 68*time.Second {
				early++
			} else {
				late++
			}
		}
	}
	if early < 65_000 || late < 65_000 {
		t.Errorf("got %d below 68 seconds and %d above, want 65000 each at least", early, late)
	}
}

// limitedStorm returns a Storm at its floor.
func limitedStorm(o StormOptions) *Storm {
	s := NewStorm(o)
	s.limited, s.lastRefusal = true, start
	return s
}

// While the upstreams are not overloaded, everything is admitted, at any rate. When they are, their last rate becomes the limit.
func TestStormUnlimitedUntilOverload(t *testing.T) {
	s := NewStorm(StormOptions{})
	server := slowServer{serviceTime: 50 * time.Microsecond}
	now := start
	for range 3000 {
		now = now.Add(time.Millisecond)
		if n := demand(s, now, 15, true); n != 15 {
			t.Fatalf("after %v: got %d of 15 admitted, want all: %+v", now.Sub(start), n, s.Status(now))
		}
		for range 15 {
			server.begin(now)
		}
		server.report(now, s)
	}
	if got := s.Status(now); got.Limited || got.Refused != 0 || got.Admitted != 45_000 {
		t.Fatalf("got %+v, want 45000 admitted, none refused, no limit", got)
	}
	most := 0
	for range 1000 { // these handshakes do not end
		now = now.Add(time.Millisecond)
		most += demand(s, now, 15, true)
	}
	if got := s.Status(now); !got.Limited || got.Refused == 0 || most > 15_000*2/3 {
		t.Errorf("got %d of 15000 admitted, want at most two thirds and a limit: %+v", most, got)
	}
	for range s.Status(now).Underway {
		s.Done(now, 0, true)
	}
	if got := s.Status(now.Add(resetAfter)); got.Limited {
		t.Errorf("a minute after the last refusal: got %+v, want no limit", got)
	}
}

// The first handshake that ends after a window belongs to it; later ones are counted in the next window.
func TestStormWindowEndsWithHandshake(t *testing.T) {
	s := NewStorm(StormOptions{})
	s.Admit(start, false)
	s.Begin()
	s.Done(start.Add(2*window), time.Minute, true)
	for range 1000 {
		s.Begin()
		s.Done(start.Add(2*window+1), 0, true)
	}
	if !s.Status(start.Add(2*window + 2)).Limited {
		t.Error("fast handshakes of the next window hid that the upstreams were slow")
	}
}

// Handshakes that wait for a slot, or end without one, do not affect the rate.
func TestStormIgnoresQueuedHandshakes(t *testing.T) {
	s := NewStorm(StormOptions{})
	for i := range 10_000 {
		if wait := s.Admit(start.Add(time.Duration(i)*time.Microsecond), false); wait != 0 {
			t.Fatalf("handshake %d: got a refusal for %v, want admission", i, wait)
		}
	}
	s.Begin()
	s.Done(start.Add(time.Minute), time.Millisecond, true)
	if st := s.Status(start.Add(2 * time.Minute)); st.Limited || st.Underway != 0 || st.Admitted != 10_000 || st.Took != time.Millisecond {
		t.Errorf("got %+v, want 10000 admitted, no limit, none in progress, 1ms in total", st)
	}
}

// Of four thousand clients that resume a session and four thousand new ones, the former wait at most three quarters as long on
// average, and some new ones are admitted before the last of the former.
func TestStormPrefersResuming(t *testing.T) {
	s := NewStorm(StormOptions{Source: rand.NewPCG(3, 3)})
	server := slowServer{serviceTime: time.Second / 1500}
	const each = 4000
	due := map[int64][]bool{} // clients by millisecond; true for clients that resume a session
	for i := range 2 * each {
		due[0] = append(due[0], i%2 == 0)
	}
	in := map[bool][]time.Duration{}
	for ms := int64(0); len(in[true])+len(in[false]) < 2*each && ms < 120_000; ms++ {
		passed := time.Duration(ms) * time.Millisecond
		server.report(start.Add(passed), s)
		for _, resuming := range due[ms] {
			if wait := s.Admit(start.Add(passed), resuming); wait > 0 {
				due[ms+wait.Milliseconds()] = append(due[ms+wait.Milliseconds()], resuming)
				continue
			}
			s.Begin()
			server.begin(start.Add(passed))
			in[resuming] = append(in[resuming], passed)
		}
		delete(due, ms)
	}
	if len(in[true]) != each || len(in[false]) != each {
		t.Fatalf("got %d resuming and %d new clients admitted, want %d each", len(in[true]), len(in[false]), each)
	}
	mean := map[bool]time.Duration{}
	for resuming, list := range in {
		for _, at := range list {
			mean[resuming] += at / each
		}
	}
	t.Logf("on average, resuming clients are admitted after %v and new ones after %v", mean[true], mean[false])
	if 4*mean[true] > 3*mean[false] || in[false][each/20] >= in[true][each-1] {
		t.Errorf("got %v on average for resuming clients and %v for new ones, want three quarters at most", mean[true], mean[false])
	}
}
