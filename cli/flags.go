package cli

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// emptyAllowed are the flags for which an empty value has a meaning.
var emptyAllowed = []string{"user", "echo"}

// checkEmpty rejects flags with an empty value, which usually comes from an unset variable. Otherwise the command would do something
// unintended, such as trusting other authorities.
func checkEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err != nil || slices.Contains(emptyAllowed, f.Name) {
			return
		}
		empty := f.Value.String() == ""
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values := list.GetSlice()
			empty = len(values) == 0 || slices.Contains(values, "")
		}
		if empty {
			err = usagef("write a value after --"+f.Name+", or leave the flag out", "--%s is empty", f.Name)
		}
	})
	return err
}

// flagError adds the expected value to an error about a flag.
func flagError(cmd *cobra.Command, err error) error {
	if missing, ok := errors.AsType[*pflag.NotExistError](err); ok {
		near := nearFlags(cmd, missing.GetSpecifiedName())
		switch {
		case near != "":
			return usagef("did you mean "+near+"?", "%v", err)
		case missing.GetSpecifiedName() == "config" && cmd.Name() == "balance":
			return usagef("to run a balancer from a file, use handfast serve --config FILE; handfast config doc endpoints.target.balance explains the keys", "%v", err)
		}
		return err
	}
	e, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	f, value := e.GetFlag(), strconv.Quote(e.GetValue())
	switch f.Value.Type() {
	case "duration":
		if _, isWatch := f.Value.(*watchTime); !isWatch {
			return usagef("write a number and a unit, such as 30s or 1m", "--%s %s is not a duration", f.Name, value)
		}
	case "int", "int64", "uint", "uint64":
		return usagef("write digits, without a unit", "--%s %s is not a whole number, or is too large", f.Name, value)
	case "bool":
		return usagef("write --"+f.Name+" alone", "--%s %s is neither true nor false", f.Name, value)
	}
	return usagef("", "--%s %s: %v", f.Name, value, e.Unwrap())
}

// usualFlags contains, for flags of this program, the names that other programs use for flags with the same meaning.
var usualFlags = map[string][]string{
	"listen": {"port", "addr", "address", "bind"}, "to": {"upstream", "backend", "server", "target"},
	"bearer": {"token"}, "basic": {"password"}, "cacert": {"ca"}, "output": {"out"}, "compress": {"compression"},
}

// nearFlags returns the flags of a command whose names are similar to name, or that have the meaning that name has in other programs:
// "--config, or --confirm".
func nearFlags(cmd *cobra.Command, name string) string {
	for flag, usual := range usualFlags {
		if slices.Contains(usual, name) && cmd.Flags().Lookup(flag) != nil {
			return "--" + flag
		}
	}
	names := &cobra.Command{} // contains a command for each flag, because cobra finds similar names of commands only
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	near := nearNames(names, name)
	if len(name) < 3 || len(near) > 3 {
		return ""
	}
	for i, n := range near {
		near[i] = "--" + n
	}
	return strings.Join(near, ", or ")
}

// readNamed reads the file that a flag names. An error is a usageError.
func readNamed(flag, path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("give the path of an existing file", "%s %s: %v", flag, path, errors.Unwrap(err))
	}
	return b, nil
}
