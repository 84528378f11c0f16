package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// exactlyOne accepts exactly one argument; what describes the argument in errors. hint is the next step; "" refers to the help.
func exactlyOne(what, hint string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef(hint, "%s takes %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

// atMostOne accepts at most one argument, a file.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("give one file; quote a name with spaces in it", "%s takes at most one argument, not %d", cmd.CommandPath(), len(args))
	}
	return nil
}

// noArgs accepts no argument. Its hint assumes that an argument of a server is a configuration file, and that an argument of a command that
// prints a file is a name for that file.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	switch {
	case cmd.Flags().Lookup("config") != nil:
		hint = "name the file of the configuration with --config"
	case cmd.Flags().Lookup("output") != nil:
		hint = "to write to a file: --output " + shellQuote(args[0])
	}
	return usagef(hint, "%s takes no arguments, but there is %q", cmd.CommandPath(), args[0])
}

// unknownCommand returns the error for the name of a command that does not exist, with similar ones.
func unknownCommand(cmd *cobra.Command, name string) error {
	hint := ""
	if near := nearNames(cmd, name); len(near) > 0 && len(near) <= 3 {
		hint = "did you mean " + cmd.CommandPath() + " " + strings.Join(near, ", or ") + "?"
	}
	return usagef(hint, "unknown command %q for %q", name, cmd.CommandPath())
}

// nearNames returns the names of subcommands that are similar to a name: those that begin with it, otherwise those that differ in one
// letter, otherwise those that differ in two letters. If name is short, names that differ in two letters must consist of the same letters.
func nearNames(cmd *cobra.Command, name string) (near []string) {
	suggested := func(distance int, keep func(string) bool) bool {
		cmd.SuggestionsMinimumDistance = distance
		for _, n := range cmd.SuggestionsFor(name) {
			if keep(n) && !slices.Contains(near, n) {
				near = append(near, n)
			}
		}
		return len(near) > 0
	}
	all := func(string) bool { return true }
	letters := func(s string) string { return string(slices.Sorted(slices.Values([]byte(s)))) }
	_ = suggested(0, all) || suggested(1, all) ||
		suggested(2, func(n string) bool { return len(name) >= 6 || letters(n) == letters(name) })
	return near
}
