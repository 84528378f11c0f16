package gateway

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/gateway/internal/registry"
)

// A flood is logged in a limited number of lines, whose counts add up to the total.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		f := flood{log: slog.New(slog.NewTextHandler(&out, nil))}
		told := 0
		for i := range 10_000 {
			if f.allow(floodKind{addr: fmt.Sprint("192.0.2.", i%2), endpoint: "chat", stage: "check", status: 401}) {
				told++
			}
		}
		for i := range 10_000 {
			if f.allow(floodKind{addr: fmt.Sprint("2001:db8::", i), endpoint: "chat", stage: "check", status: 401}) {
				told++
			}
		}
		if told != 2*linesPerKind+maxFloodKinds-2 || out.String() != "" {
			t.Errorf("%d lines were reported, and %s", told, out.String())
		}
		<-time.After(floodWindow) // the clock is fake
		synctest.Wait()
		sum := told
		for line := range strings.Lines(out.String()) {
			var more int
			if _, err := fmt.Sscanf(line[strings.Index(line, " more="):], " more=%d", &more); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			sum += more
		}
		if sum != 20_000 || strings.Count(out.String(), "\n") > maxFloodKinds+1 {
			t.Errorf("%d in\n%s", sum, out.String())
		}
		if !f.allow(floodKind{addr: "192.0.2.0"}) {
			t.Error("a second later a line is not logged")
		}
	})
}

// A window ends after exactly one second, even if no line was omitted in it.
func TestFloodWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flood{log: slog.New(slog.DiscardHandler)}
		for second := range 3 {
			for i := range linesPerKind {
				if !f.allow(floodKind{addr: "192.0.2.1"}) {
					t.Errorf("second %d: refusal %d is not logged", second, i)
				}
			}
			<-time.After(floodWindow) // the clock is fake
		}
	})
}

// A server's rejections are sampled in the log; the audit log contains all of them.
func TestRefusalsAreSampled(t *testing.T) {
	r := run(t, parse(t, users, key))
	const n = 50
	for range n {
		r.refuse(t, "/chat", nil)
	}
	waitForLog(t, &r.log, `msg="more handshakes refused"`, "status=401", "addr=127.0.0.1", "endpoint=chat", "more=")
	if lines := strings.Count(r.log.String(), `msg="handshake refused"`); lines >= n {
		t.Errorf("%d lines", lines)
	}
	if lines := strings.Count(r.audited.String(), `"refused"`); lines != n {
		t.Errorf("%d lines in the audit log", lines)
	}
}

// A denied action is logged with the information that an operator needs to find the rule; a flood of denials is sampled.
func TestDenialsAreLogged(t *testing.T) {
	r := run(t, parse(t, users+`
	- {name: rooms, path: /rooms, target: channels, auth: [users], rules: [{do: allow, actions: [connect]}, {do: deny, actions: [publish]}]}
	- {name: streams, path: /streams/, target: streams, auth: [users], rules: [{do: allow, actions: [connect]}]}
apps: [{id: main, secret: a}]
`, key))
	c := r.open(t, "/rooms", withToken(token("ann", time.Hour, nil)))
	readText(t, c)
	const n = 10
	for range n {
		wantParts(t, sendCommand(t, c, `{"type":"publish","id":1,"channel":"chat","data":1}`), `"code":"denied"`)
	}
	entry := r.conns.List(registry.Filter{})[0]
	waitForLog(t, &r.log, "level=INFO", `msg="action denied"`, "action=publish", "channel=chat", `rule="rule 2`, "endpoint=rooms", "user=ann", "addr=127.0.0.1",
		"id="+entry.ID)
	wantParts(t, sendCommand(t, c, `{"type":"subscribe","id":1,"channel":"chat"}`), `"code":"denied"`)
	waitForLog(t, &r.log, `msg="action denied"`, "action=subscribe", `rule="no rule applies"`)
	if resp, _ := requestPage(t, "GET", r.URLs()[0]+"/streams/chat", withToken(token("bob", time.Hour, nil)).Header); resp.StatusCode != 403 {
		t.Error(resp.Status)
	}
	waitForLog(t, &r.log, `msg="action denied"`, "endpoint=streams", "user=bob")
	if err := r.stop(); err != nil { // stopping the server logs the rest
		t.Fatal(err)
	}
	waitForLog(t, &r.log, `msg="more actions denied"`, "more=", "action=publish", "addr=127.0.0.1", "endpoint=rooms")
	if lines := strings.Count(r.log.String(), "action=publish channel="); lines >= n {
		t.Errorf("%d lines", lines)
	}
}

// The number of omitted lines is also logged if the server stops during a flood.
func TestFloodAtTheEnd(t *testing.T) {
	r := run(t, parse(t, users, key))
	for range 10 {
		r.refuse(t, "/chat", nil)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.log.String(), "more=") {
		t.Errorf("the number of omitted lines is not logged:\n%s", r.log.String())
	}
}
