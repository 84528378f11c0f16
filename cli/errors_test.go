package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// An error keeps its own next step and exit code through every part of cobra.
func TestReport(t *testing.T) {
	usage := usagef("write it so", "that makes no sense")
	failure := &hinted{errors.New("it broke"), "fix it"}
	for _, c := range []struct {
		name string
		err  error
		code int
		want string // on standard error
	}{
		{"nothing", nil, exitOK, ""},
		{"usage, from Args", usage, exitUsage, "handfast: that makes no sense\n  next step: write it so\n"},
		{"usage, from RunE", &runError{usage}, exitUsage, "handfast: that makes no sense\n  next step: write it so\n"},
		{"usage, wrapped", fmt.Errorf("flag: %w", usage), exitUsage, "handfast: flag: that makes no sense\n  next step: write it so\n"},
		{"usage without a next step", usagef("", "no"), exitUsage, "handfast: no\n  next step: see handfast --help\n"},
		{"cobra's own", errors.New("unknown flag: --x"), exitUsage, "handfast: unknown flag: --x\n  next step: see handfast --help\n"},
		{"a failure", &runError{failure}, exitFailed, "handfast: it broke\n  next step: fix it\n"},
		{"a failure that steers", &runError{errors.New("\x1b[31m")}, exitFailed, "handfast: \\x1b[31m\n"},
		{"a quiet one", &runError{errQuiet}, exitFailed, ""},
		{"interrupted", &runError{errInterrupted}, exitInterrupted, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stderr strings.Builder
			code := report(&System{Stderr: &stderr}, &cobra.Command{Use: "handfast"}, c.err)
			if code != c.code || stderr.String() != c.want {
				t.Errorf("exit %d, %q", code, stderr.String())
			}
		})
	}
}
