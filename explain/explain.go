package explain

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/handfast/handfast/websocket/handshake"
)

// The default limits.
const (
	defaultTimeout     = 15 * time.Second
	defaultStepTimeout = 5 * time.Second
)

// Explain opens a WebSocket at rawURL, whose scheme is ws, wss, http or https, and reports the result. nil options mean the defaults.
// Explain always returns a report, within the time limits of the options and soon after the end of ctx. It leaves no goroutine or
// connection behind, and is safe for concurrent use.
func Explain(ctx context.Context, rawURL string, opts *Options) *Report {
	t := newTracer(ctx, opts)
	t.trace(rawURL)
	return t.finish()
}

// run is the state that all parts of one call of Explain share: the options, the deadline, and the report.
type run struct {
	ctx      context.Context
	o        Options
	start    time.Time
	deadline time.Time // the end of the overall time limit
	r        *Report
	hide     *redactor
	target   *target
}

// dialer opens the stream to the server: it looks up names, connects, opens tunnels and performs TLS handshakes. It also investigates
// failures of these steps.
type dialer struct {
	run    *run
	plan   route   // the way to the server
	secure *secure // the TLS handshake; nil for ws
}

// requester makes the request from the URL and the options.
type requester struct{ *run }

// tracer is one call of Explain, from the URL to the end of the connection.
type tracer struct {
	*run
	dialer    dialer
	requester requester
	empty101  bool               // the declared body has a length of 0
	body101   bool               // the 101 response declares a body
	deflate   *handshake.Deflate // the negotiated compression; nil means none
}

func newTracer(ctx context.Context, opts *Options) *tracer {
	if opts == nil {
		opts = &Options{}
	}
	r := &run{ctx: ctx, o: *opts, start: time.Now(), hide: &redactor{}}
	r.o.Timeout = cmp.Or(r.o.Timeout, defaultTimeout)
	r.o.StepTimeout = cmp.Or(r.o.StepTimeout, defaultStepTimeout)
	if r.o.Proxy == nil {
		r.o.Proxy = http.ProxyFromEnvironment
	}
	if r.o.Dial == nil {
		r.o.Dial = (&net.Dialer{}).DialContext
	}
	if r.o.rand == nil {
		r.o.rand = rand.Reader
	}
	r.deadline = r.start.Add(r.o.Timeout)
	r.r = &Report{Started: r.start.Round(0), Steps: []Step{}}
	t := &tracer{run: r, dialer: dialer{run: r}, requester: requester{r}}
	t.requester.originOfHeader()
	return t
}

// trace performs the steps until one fails.
func (t *tracer) trace(rawURL string) {
	if !t.requester.readURL(rawURL) || !t.requester.checkRequest() {
		return
	}
	l := t.dialer.connect()
	if l == nil {
		return
	}
	defer l.end()
	rest, ok := t.handshake(l)
	if !ok {
		t.probeRefusal()
		return
	}
	t.r.Opened = true
	s := newSession(t, l, rest)
	s.run()
	l.end()
	if t.ctx.Err() == nil {
		t.probeForeignOrigin()
	}
}

// finish completes the report.
func (t *tracer) finish() *Report {
	r := t.r
	r.Duration = t.since()
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		switch {
		case a.Warning == b.Warning:
			return 0
		case b.Warning:
			return -1
		}
		return 1
	})
	t.hide.all(r)
	for i, f := range r.Findings {
		switch d := diagnose(r, f); {
		case f.Warning:
			r.Warnings = append(r.Warnings, d)
		case i == 0:
			r.Diagnosis = &d
		}
	}
	t.hide.withoutLetterSecrets().all(r)
	return r
}

// since returns the time since the start of the run.
func (t *run) since() Duration { return Duration(time.Since(t.start)) }

// until returns the deadline of a wait of at most d.
func (t *run) until(d time.Duration) time.Time { return earlier(t.deadline, time.Now().Add(d)) }

// step returns the deadline of a wait for the peer.
func (t *run) step() time.Time { return t.until(t.o.StepTimeout) }

// bounded returns a context for a wait of at most d.
func (t *run) bounded(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithDeadline(t.ctx, t.until(d))
}

// begin starts a step.
func (t *run) begin(stage Stage, title string) *Step {
	if t.o.OnBegin != nil {
		t.o.OnBegin(stage, t.hide.text(title))
	}
	return &Step{Stage: stage, Title: title, Start: t.since(), OK: true}
}

// end adds a step to the report. The step must not be used afterwards.
func (t *run) end(s *Step, result string) {
	s.Duration = t.since() - s.Start
	s.Result = result
	if slices.ContainsFunc(s.Rules, func(c Check) bool { return !c.Held }) {
		s.OK = false
	}
	t.hide.all(s)
	t.r.Steps = append(t.r.Steps, *s)
	if t.o.OnStep != nil {
		t.o.OnStep(*s)
	}
}

// fail records a fault that prevents the connection from opening or ends the connection.
func (t *run) fail(stage Stage, f Fault, clause, detail string) {
	t.r.Findings = append(t.r.Findings, Finding{Fault: f, Stage: stage, Clause: clause, Detail: detail})
}

// warn records a fault that neither prevents the connection from opening nor ends the connection.
func (t *run) warn(stage Stage, f Fault, clause, detail string) {
	t.r.Findings = append(t.r.Findings, Finding{Fault: f, Stage: stage, Clause: clause, Detail: detail, Warning: true})
}

// failed reports whether f was recorded.
func (t *run) failed(f Fault) bool {
	return slices.ContainsFunc(t.r.Findings, func(x Finding) bool { return x.Fault == f })
}

// stopped reports whether the caller or the overall time limit has ended the run, and records the fault if so.
func (t *run) stopped(stage Stage) bool {
	switch {
	case t.ctx.Err() != nil && !errors.Is(t.ctx.Err(), context.DeadlineExceeded):
		t.fail(stage, FaultInterrupted, "", "canceled by the caller")
	case t.ctx.Err() != nil, !time.Now().Before(t.deadline):
		t.fail(stage, FaultTimeout, "", "the overall timeout expired")
	default:
		return false
	}
	return true
}

// equalFold compares field names and tokens without case. They are ASCII: comparing the lengths excludes the two non-ASCII letters that
// fold to ASCII letters, which are longer in UTF-8.
func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
