package cli

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
)

// System is the part of the process that a command uses.
type System struct {
	Program string    // the name by which this program was called: the first argument of the process
	Stdin   io.Reader // an *os.File if it may be a terminal, like Stdout and Stderr
	Stdout  io.Writer
	Stderr  io.Writer
	Signals <-chan os.Signal // requests to stop; the second one means immediately. nil means no requests
	Getenv  func(string) string

	restore *atomic.Pointer[func()] // called to restore the terminal if a signal ends the command; may contain nil
}

// Run runs the command that the arguments specify, and returns the exit code.
func Run(ctx context.Context, args []string, sys System) int {
	sys.restore = &atomic.Pointer[func()]{}
	root := newRoot(&sys)
	root.SetArgs(args)
	cmd, err := execute(ctx, root, args, &sys)
	return report(&sys, cmd, err)
}

// Command returns the root command, for generating manuals.
func Command() *cobra.Command {
	return newRoot(&System{Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }, restore: &atomic.Pointer[func()]{}})
}

func newRoot(sys *System) *cobra.Command {
	root := &cobra.Command{
		Use:   "handfast",
		Short: "Everything for WebSocket: a server, a client, and tools",
		Example: `  handfast serve                              a server with TLS on https://localhost:8443
  handfast dial wss://localhost:8443/echo     talk to it: type a line, get it back
  handfast explain wss://localhost:8443/echo  its handshake step by step, and what is wrong`,
		SilenceErrors: true, // report prints errors, with the next step
		SilenceUsage:  true,
	}
	root.SetIn(sys.Stdin)
	root.SetOut(sys.Stdout)
	root.SetErr(sys.Stderr)
	root.AddCommand(graceful(newServe(sys)), graceful(newDial(sys)), graceful(newExplain(sys)),
		graceful(newSubscribe(sys)), graceful(newPublish(sys)), graceful(newBalance(sys)),
		newReload(sys), newCert(sys), newToken(sys), newConfig(sys), newVersion(sys))
	root.SetFlagErrorFunc(flagError)
	addVersionFlag(root, sys)
	finish(root)
	return root
}

// finish adds examples, and errors for unknown arguments, to the commands that cobra generates.
func finish(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion")
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  handfast help dial"
			cmd.Run, cmd.RunE = nil, func(_ *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err != nil {
					return unknownCommand(root, args[0])
				}
				if len(rest) > 0 {
					return unknownCommand(about, rest[0])
				}
				about.InitDefaultHelpFlag()
				return about.Help()
			}
		case "completion":
			cmd.Args, cmd.RunE = nil, group
			cmd.Example = "  source <(handfast completion bash)"
			for _, shell := range cmd.Commands() {
				shell.Example = "  handfast completion " + shell.Name() + " | less"
			}
		}
	}
}

// run wraps a command's function so that its errors are failures, with exit code 1, except for a usageError. All other errors from cobra
// concern the command line.
func run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := checkEmpty(cmd); err != nil {
			return err
		}
		if err := f(cmd, args); err != nil {
			return &runError{err}
		}
		return nil
	}
}

// group is the function of a command that only groups other commands.
func group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" {
			names = append(names, c.Name())
		}
	}
	slices.Sort(names)
	return usagef("", "%s requires a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
}
