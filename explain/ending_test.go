package explain

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// openedAfter returns the end of the step with the negotiated parameters, and the total time if there is no such step.
func TestOpenedAfter(t *testing.T) {
	r := &Report{Duration: Duration(time.Minute), Steps: []Step{{Stage: StageTCP, Start: 1, Duration: 2}}}
	if got := openedAfter(r); got != r.Duration {
		t.Errorf("without an agreement %s", got)
	}
	r.Steps = append(r.Steps, Step{Stage: StageAgreed, Start: 20, Duration: 5}, Step{Stage: StagePing, Start: 30, Duration: 1})
	if got := openedAfter(r); got != 25 {
		t.Errorf("%d, want 25", got)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 frames", 1: "1 frame", 2: "2 frames"} {
		if got := count(n, "frame", "frames"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The finding about a stream that ends depends on the line or frame that was incomplete.
func TestStreamEnd(t *testing.T) {
	for _, c := range []struct {
		name, detail string
		fault        Fault
		serve        func(*exchange)
	}{
		{"in the status line", "the connection was closed in the middle of the response head", FaultHeadEndless,
			func(v *exchange) { v.writeText("HTTP/1.1 101 Switch") }},
		{"behind an interim response", "only interim responses (1xx) were received; then the connection was closed", FaultHeadEndless,
			func(v *exchange) { v.writeText("HTTP/1.1 100 Continue\n\n") }},
		{"behind two of them", "only interim responses (1xx) were received; then the connection was closed", FaultHeadEndless,
			func(v *exchange) { v.writeText("HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: </a>\n\n") }},
		{"never, behind one", "only interim responses (1xx) were received; then nothing was received in time", FaultHeadEndless,
			func(v *exchange) { v.writeText("HTTP/1.1 100 Continue\n\n"); io.Copy(io.Discard, v.in) }},
		{"behind thousands", "only interim responses (1xx) were received: more than 8 interim responses (1xx) before the final one", FaultHeadEndless,
			func(v *exchange) { v.writeText(strings.Repeat("HTTP/1.1 103 Early Hints\n\n", 5000)) }},
		{"in an interim response", "the connection was closed in the middle of the response head", FaultHeadEndless,
			func(v *exchange) { v.writeText("HTTP/1.1 103 Early Hints\nLink: </a>\n") }},
		{"in the final response", "the connection was closed in the middle of the response head", FaultHeadEndless,
			func(v *exchange) { v.writeText("HTTP/1.1 100 Continue\n\nHTTP/1.1 1") }},
		{"before a frame", "the server closed the connection (FIN) without a close frame", FaultNoCloseFrame,
			func(v *exchange) { v.open(""); v.next() }},
		{"behind one byte of a frame", "the server closed the connection (FIN) without a close frame, in the middle of a frame",
			FaultNoCloseFrame, func(v *exchange) { v.open(""); v.next(); v.Write([]byte{0x81}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := Explain(t.Context(), "ws://192.0.2.1/", inMemory(t, c.serve))
				if len(r.Findings) != 1 || r.Findings[0].Fault != c.fault || r.Findings[0].Detail != c.detail {
					t.Errorf("%+v, want %s: %s", r.Findings, c.fault, c.detail)
				}
				if got := strings.Contains(r.Diagnosis.Cause, "only interim responses"); got != strings.HasPrefix(c.detail, onlyInterim) {
					t.Errorf("the cause: %s", r.Diagnosis.Cause)
				}
			})
		})
	}
}

// The option Origin has priority over an Origin in the option Header.
func TestOriginOptionGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := inMemory(t, func(v *exchange) { v.open(""); v.respond() })
		opts.Origin, opts.Header = "https://option.example", map[string][]string{"Origin": {"https://header.example"}}
		if r := Explain(t.Context(), "ws://192.0.2.1/", opts); r.Target.Origin != opts.Origin {
			t.Errorf("it sent %q", r.Target.Origin)
		}
	})
}

// A reset after interim responses is not reported as a reset in place of a response.
func TestResetAfterInterimResponses(t *testing.T) {
	h := &head{}
	h.feed([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	h.ended(syscall.ECONNRESET)
	f := Finding{Fault: h.problem.fault, Stage: StageResponse, Clause: h.problem.clause, Detail: h.problem.detail}
	if d := diagnose(&Report{}, f); f.Fault != FaultReset || !strings.Contains(d.Cause, "only interim responses") || d.Clause != "RFC 9110 §15.2" {
		t.Errorf("%+v: %+v", f, d)
	}
}
