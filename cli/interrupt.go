package cli

import (
	"context"

	"github.com/spf13/cobra"
)

// ownSignals marks the commands that handle signals themselves, since they have to shut down in order. All others exit
// immediately: they may be waiting for standard input, or for a file that is a pipe.
const ownSignals = "signals"

// graceful marks a command so.
func graceful(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{ownSignals: "own"}
	return cmd
}

// untilSignal returns a context that the next signal ends, with errInterrupted as its cause. The caller calls stop.
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

// execute runs the command that the arguments name, until a signal comes if that is not the command's own business. A
// command that is left behind so ends with the process.
func execute(ctx context.Context, root *cobra.Command, args []string, sys *System) (*cobra.Command, error) {
	if cmd, _, err := root.Find(args); err != nil || cmd.Annotations[ownSignals] != "" {
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
