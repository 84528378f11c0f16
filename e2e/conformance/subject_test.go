package conformance

import (
	"context"
	"fmt"
	"runtime"
	"testing"
)

// subject is one of the library's implementations under test.
type subject struct {
	name string // name of the column in results.md
	role role
	cuts func(testCase) []cut
	play func(ctx context.Context, c testCase, how cut) error // runs a case; nil if this system does not support the subject
	few  bool                                                 // bulk cases are skipped with the race detector
	late bool                                                 // inflates only complete messages
	view bool                                                 // reads with View for every cut
}

// skips reports whether this run skips c. Without the race detector, no case is skipped.
func (s subject) skips(c testCase) bool { return underRace && s.few && c.bulk }

// isLate reports whether s runs the late script of c.
func (s subject) isLate(c testCase) bool { return s.late && c.late != nil }

// subjects returns all subjects. Servers that many cases share are shut down at the end of the test.
func subjects(t testing.TB) []subject {
	service, events, loop := shared{start: startServer}, shared{start: startRun}, shared{start: startEvents}
	t.Cleanup(func() {
		service.shutDown(t)
		events.shutDown(t)
		loop.shutDown(t)
	})
	all := []subject{
		{name: "server", role: testServer, cuts: testCase.everyCut, play: runAgainstServer},
		{name: "service", role: testServer, cuts: testCase.someCuts, play: service.run, few: true, view: true},
		{name: "run", role: testServer, cuts: testCase.someCuts, play: events.run, few: true},
		{name: "events", role: testServer, cuts: testCase.someCuts, play: loop.run, few: true, late: true},
		{name: "client", role: testClient, cuts: testCase.everyCut, play: runAgainstClient},
	}
	if runtime.GOOS != "linux" {
		all[3].play = nil
	}
	return all
}

// run runs a case with a subject and returns its failure, if any.
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
