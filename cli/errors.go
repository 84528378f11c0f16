package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // shells report this code for a process that SIGINT has ended
)

// runError marks an error of a command whose command line was valid.
type runError struct{ err error }

func (e *runError) Error() string { return e.err.Error() }
func (e *runError) Unwrap() error { return e.err }

// usageError is an error in the command line.
type usageError struct {
	text string
	hint string // the next step; "" refers to --help
}

func (e *usageError) Error() string    { return e.text }
func (e *usageError) NextStep() string { return e.hint }

// usagef returns a usageError.
func usagef(hint, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), hint}
}

// hinted is an error with a next step.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string    { return e.err.Error() }
func (e *hinted) Unwrap() error    { return e.err }
func (e *hinted) NextStep() string { return e.hint }

// errInterrupted ends a command whose orderly shutdown was cut short. The error is not printed, because the user has caused it.
var errInterrupted = errors.New("interrupted")

// errReported ends a command that has failed and has nothing more to print.
var errReported = errors.New("failed")

// errUsageReported is like errReported, but for an error in the command line.
var errUsageReported = errors.New("misused")

// report prints an error and returns the exit code.
func report(sys *System, cmd *cobra.Command, err error) int {
	var ran *runError
	usage, misused := errors.AsType[*usageError](err)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.Is(err, errReported):
		return exitFailed
	case errors.Is(err, errUsageReported):
		return exitUsage
	case errors.As(err, &ran) && !misused:
		printError(sys.Stderr, err, nextstep.Of(err))
		return exitFailed
	}
	hint := "see " + cmd.CommandPath() + " --help"
	if misused && usage.hint != "" {
		hint = usage.hint
	}
	printError(sys.Stderr, err, hint)
	return exitUsage
}

func printError(w io.Writer, err error, hint string) {
	fmt.Fprintln(w, "handfast: "+visible.Text(err.Error()))
	var failed *websocket.HandshakeError
	if errors.As(err, &failed) {
		describe(w, failed)
	}
	printStep(w, hint)
}

// printStep writes the next step on the line below an error; "" means that there is none.
func printStep(w io.Writer, step string) {
	if step != "" {
		fmt.Fprintln(w, "  next step: "+visible.Text(step))
	}
}

// bodyLines is the maximum number of lines of a rejection's body that are shown.
const bodyLines = 8

// describe writes the details of a failed handshake, except for its hint.
func describe(w io.Writer, e *websocket.HandshakeError) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-9s  %s\n", name+":", visible.Text(value))
		}
	}
	row("stage", string(e.Stage))
	if e.Status != 0 {
		row("status", strings.TrimSpace(strconv.Itoa(e.Status)+" "+http.StatusText(e.Status)))
	}
	row("rule", e.Section)
	body := strings.TrimSpace(string(e.Body))
	if body == "" {
		return
	}
	lines := strings.SplitN(body, "\n", bodyLines+1)
	name := "body:"
	for _, line := range lines[:min(len(lines), bodyLines)] {
		fmt.Fprintf(w, "  %-9s  %s\n", name, visible.Text(strings.TrimSuffix(line, "\r")))
		name = ""
	}
	if len(lines) > bodyLines {
		fmt.Fprintln(w, "             …")
	}
}
