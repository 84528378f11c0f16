//go:build e2e

package balance

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// javascript is a Node process with clients that use Centrifugo's JavaScript SDK.
type javascript struct {
	t *testing.T
	o *otherServer
}

// javascriptClients starts n listeners, and the publishers, in a Node process.
func javascriptClients(s *stage, n int) clientGroup {
	s.t.Helper()
	j := &javascript{s.t, startCommand(s.t, "../centrifugo", []string{
		"node", "held.mjs", "ws://" + s.listen + "/connection/websocket", fmt.Sprint(n), fmt.Sprint(eachChannel), fmt.Sprint(s.pause.Milliseconds() / 2),
	})}
	if line := j.o.line(s.t); line != "ready\n" {
		s.t.Fatalf("Node says %q: %s", line, j.o.log)
	}
	return j
}

// ask sends a line, and returns the reply.
func (j *javascript) ask(line string) string {
	j.t.Helper()
	if _, err := io.WriteString(j.o.in, line+"\n"); err != nil {
		j.t.Fatalf("%v: %s", err, j.o.log)
	}
	answer := j.o.line(j.t)
	if answer == "" {
		j.t.Fatalf("Node has ended: %s", j.o.log)
	}
	return answer
}

func (j *javascript) waitProgress() {
	j.t.Helper()
	j.ask("goes on")
}

func (j *javascript) expect(allowed bounds) tally {
	j.t.Helper()
	var seen struct {
		Closed        map[string]int
		Lost, Doubled int
	}
	if err := json.NewDecoder(strings.NewReader(j.ask("seen"))).Decode(&seen); err != nil {
		j.t.Fatal(err)
	}
	s := tally{closed: seen.Closed, lost: seen.Lost, duplicated: seen.Doubled}
	if s.total() > allowed.atMost || s.lost > 0 || s.duplicated > 0 {
		j.t.Errorf("got %+v, want no lost and no duplicate messages: %s", s, j.o.log)
	}
	return s
}

func (j *javascript) leave() { j.o.end() }
