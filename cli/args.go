package cli

import "github.com/spf13/cobra"

// one accepts exactly one argument, and names it in errors.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("", "%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// oneOrNone accepts at most one argument.
func oneOrNone(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("quote an argument with spaces in it", "%s takes at most one argument, not %d", cmd.CommandPath(), len(args))
	}
	return nil
}

// none accepts no argument. One given to a server is usually its configuration.
func none(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if cmd.Flags().Lookup("config") != nil {
		hint = "name the file of the configuration with --config"
	}
	return usagef(hint, "%s takes no arguments, but there is %q", cmd.CommandPath(), args[0])
}
