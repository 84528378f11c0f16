package cli

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Messages of the standard library are in the server's log, and cannot fill it.
func TestStdLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		giveBack := redirectStdLog(slog.New(slog.NewTextHandler(&b, nil)))
		before := log.Writer()
		for range 100 {
			log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=<nil>", "x\ny")
		}
		time.Sleep(time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		log.Print("later")
		giveBack()
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != stdLinesPerSecond+1 {
			t.Fatalf("%d lines:\n%s", len(lines), b.String())
		}
		for i, want := range []string{0: `level=WARN msg="message of the Go library" error="Unsolicited response`, stdLinesPerSecond: "error=later more=97"} {
			if want != "" && !strings.Contains(lines[i], want) {
				t.Errorf("%s", lines[i])
			}
		}
		if log.Writer() == before {
			t.Error("the log of the standard library was not redirected")
		}
	})
}
