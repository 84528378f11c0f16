package conformance

import (
	"context"
	"fmt"
	"runtime"
	"testing"
)

// subject is one of the library's ends: what is tested.
type subject struct {
	name string // of its column in results.md
	role role
	cuts func(testCase) []cut
	play func(ctx context.Context, c testCase, how cut) error // nil if it does not run on this system
	few  bool                                                 // the race detector's runs leave the bulk out
	late bool                                                 // it inflates a message when all of it is there
	view bool                                                 // it reads by View, whatever the cut
}

// leavesOut says that c is not played in this run: a run without the race detector does.
func (s subject) leavesOut(c testCase) bool { return underRace && s.few && c.bulk }

// isLate says that s is played the late script of c, in place of the strict one.
func (s subject) isLate(c testCase) bool { return s.late && c.late != nil }

// subjects returns all of them. The servers among them that many cases share are shut down at the end of the test.
func subjects(t testing.TB) []subject {
	service, loop := shared{start: startServer}, shared{start: startEvents}
	t.Cleanup(func() {
		service.shutDown(t)
		loop.shutDown(t)
	})
	all := []subject{
		{name: "server", role: testServer, cuts: testCase.everyCut, play: runAgainstServer},
		{name: "service", role: testServer, cuts: testCase.someCuts, play: service.run, few: true, view: true},
		{name: "events", role: testServer, cuts: testCase.someCuts, play: loop.run, few: true, late: true},
		{name: "client", role: testClient, cuts: testCase.everyCut, play: runAgainstClient},
	}
	if runtime.GOOS != "linux" {
		all[2].play = nil
	}
	return all
}

// run plays a case against a subject and returns what went wrong.
func run(ctx context.Context, c testCase, s subject, how cut) error {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	c.app.compress = c.ext != nil
	if s.isLate(c) {
		c.script = c.late
	}
	switch {
	case s.view:
		c.app.calls = byView
	case !c.heavy:
		c.app.calls = callsFor[how]
	}
	if err := s.play(ctx, c, how); err != nil {
		return fmt.Errorf("%s, %v: %w", s.name, how, err)
	}
	return nil
}
