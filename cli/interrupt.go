package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// handlesSignals marks the commands that handle signals themselves, because they must shut down in order. All other commands exit immediately
// at a signal, because they may be blocked on standard input, or on a file that is a pipe.
const handlesSignals = "signals"

// graceful marks a command with handlesSignals.
func graceful(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{handlesSignals: "own"}
	return cmd
}

// untilSignal returns a context that the next signal cancels, with errInterrupted as the cause. The caller must call stop.
func untilSignal(ctx context.Context, sys *System) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-sys.Signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// execute runs the command that the arguments specify. Unless the command handles signals itself, a signal ends the wait for it,
// and the command ends with the process.
func execute(ctx context.Context, root *cobra.Command, args []string, sys *System) (*cobra.Command, error) {
	cmd, _, err := root.Find(args)
	if err != nil { // the command does not exist, or cobra adds it only during the execution
		cmd, failed := root.ExecuteContextC(ctx)
		if i := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") }); failed != nil && i >= 0 && failed.Error() == err.Error() {
			failed = unknownCommand(root, args[i]) // this argument is a command, because no flag of the root has a value
		}
		return cmd, failed
	}
	if cmd.Annotations[handlesSignals] != "" {
		return root.ExecuteContextC(ctx)
	}
	type outcome struct {
		cmd *cobra.Command
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		cmd, err := root.ExecuteContextC(ctx)
		done <- outcome{cmd, err}
	}()
	select {
	case o := <-done:
		return o.cmd, o.err
	case <-sys.Signals:
		if restore := sys.restore.Load(); restore != nil {
			(*restore)()
		}
		return root, errInterrupted
	}
}
