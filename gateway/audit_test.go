package gateway

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handfast/handfast/config"
)

// failingWriter simulates a disk that is sometimes full. While the disk is full, a write stores only the first bytes.
type failingWriter struct {
	output
	lines int // -1 means everything
}

var errFull = errors.New("no space left on device")

func (s *failingWriter) Write(p []byte) (int, error) {
	if s.lines < 0 {
		return s.output.Write(p)
	}
	n, _ := s.output.Write(p[:min(s.lines, len(p))])
	return n, errFull
}

// Lost lines are reported: immediately in the log, and in the audit log as soon as it is writable again. A partial line does not
// corrupt the next one.
func TestAuditReportsLostLines(t *testing.T) {
	disk := &failingWriter{lines: -1}
	var told []error
	a, err := openAudit(config.Audit{To: "stdout"}, disk, nil, func(err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	a.log("one")
	disk.lines = 10
	a.log("two")
	disk.lines = 0
	a.log("three")
	disk.lines = -1
	a.log("four")
	a.log("five")
	var events []string
	for line := range strings.Lines(disk.String()) {
		var l struct {
			Msg  string
			Lost int
		}
		if json.Unmarshal([]byte(line), &l) != nil {
			events = append(events, "torn")
			continue
		}
		events = append(events, l.Msg)
		if l.Msg == "lines lost" && l.Lost != 2 {
			t.Errorf("%d lines are lost", l.Lost)
		}
	}
	if got := strings.Join(events, " "); got != "one torn four lines lost five" {
		t.Errorf("%s in\n%s", got, disk.String())
	}
	if len(told) != 2 || !errors.Is(told[0], errFull) {
		t.Errorf("reported %v", told)
	}
}

// A full disk is reported, and does not cause clients to be rejected.
func TestAuditFull(t *testing.T) {
	cfg := parse(t, users+"audit: {to: file, file: /dev/full}\n", key)
	r := run(t, cfg)
	for range 20 {
		c := r.open(t, "/open", nil)
		wantEcho(t, c)
		c.CloseNow()
	}
	waitForLog(t, &r.log, "level=ERROR", `msg="audit log cannot be written"`, "no space left")
	if n := strings.Count(r.log.String(), "audit log cannot be written"); n != 1 {
		t.Errorf("reported %d times", n)
	}
	if text := metrics(t, r); strings.Contains(text, "handfast_audit_lines_lost_total 0") || !strings.Contains(text, "handfast_audit_lines_lost_total ") {
		t.Errorf("%s", text)
	}
}

// Log rotation moves and reopens the file.
func TestAuditRotates(t *testing.T) {
	name := filepath.Join(t.TempDir(), "audit.log")
	a, err := openAudit(config.Audit{To: "file", File: config.Path(name)}, io.Discard, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	a.log("one")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	a.log("two")
	if err := a.reopen(); err != nil {
		t.Fatal(err)
	}
	a.log("three")
	for file, want := range map[string]string{name + ".1": `"two"`, name: `"three"`} {
		if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %s, %v", file, b, err)
		}
	}
}
