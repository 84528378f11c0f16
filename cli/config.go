package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
)

func newConfig(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, explain and test a configuration",
		Example: `  handfast config init --output handfast.yaml
  handfast config check handfast.yaml
  handfast config doc endpoints
  handfast config test handfast.yaml --user alice --do subscribe --channel news`,
		RunE: group,
	}
	cmd.AddCommand(newConfigCheck(sys), newConfigDefault(sys), newConfigDoc(sys), newConfigInit(sys), newConfigSchema(sys), newConfigShow(sys), newConfigTest(sys))
	return cmd
}

// loadConfig loads the configuration that a server would use with the file and the current environment. The error contains all problems,
// including those in rules.
func loadConfig(sys *System, file string) (*config.Config, error) {
	named := file
	if file == "" {
		file = sys.Getenv(config.EnvFile)
	}
	c, err := config.Load(config.Sources{File: file, Environ: os.Environ(), Check: checkParts, Try: gateway.Check})
	if named == "" {
		hintVariable(err, file)
	}
	return c, err
}

// hintVariable adds the next step if file, which an environment variable names, cannot be read.
func hintVariable(err error, file string) {
	for _, p := range problemsOf(err) {
		if file != "" && unreadable(p, file) {
			p.Hint = config.EnvFile + " names this file: correct the variable, or unset it"
		}
	}
}

// loadError returns the error of a command that could not load a configuration because of err. It returns errUsageReported if the file in the
// command's argument cannot be read, and otherwise fallback.
func loadError(file string, err, fallback error) error {
	if file != "" && slices.ContainsFunc(problemsOf(err), func(p *config.Problem) bool { return unreadable(p, file) }) {
		return errUsageReported
	}
	return fallback
}

// unreadable reports whether the problem is that the configuration file cannot be read.
func unreadable(p *config.Problem, file string) bool { return p.Pos == config.Pos{File: file} }

// checkParts returns the problems that a server would find in an otherwise valid configuration: in rules, in the engine, and in
// files.
func checkParts(c *config.Config) []*config.Problem {
	return slices.Concat(checkRules(c), checkMethods(c), gateway.CheckEngine(c), gateway.CheckBalance(c))
}

// checkRules compiles the rules of all endpoints.
func checkRules(c *config.Config) []*config.Problem {
	var problems []*config.Problem
	for i := range c.Endpoints {
		_, err := gateway.Rules(c, i)
		var all *config.Error
		if errors.As(err, &all) {
			problems = append(problems, all.Problems...)
		}
	}
	return problems
}

// yamlFiles makes the shell complete the names of YAML files.
func yamlFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// first returns the first argument, or "" if there is none.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// fileOrNone accepts at most one file as the argument. An empty name, usually from an unset variable, is an error: otherwise the
// command would check the defaults and succeed.
func fileOrNone(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && args[0] == "" {
		return usagef("name at most one file", "%s: the name of the file is empty", cmd.CommandPath())
	}
	return atMostOne(cmd, args)
}

func newConfigCheck(sys *System) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Report everything that is wrong with a configuration",
		Long: `Reads a configuration as "handfast serve --config FILE" does, environment variables
included, and prints a line for every problem, and the next step below it:

  FILE:LINE:COLUMN: KEY: what is wrong; what may have been meant; what was expected

Without FILE it reads the file that HANDFAST_CONFIG names. If that is not set either, it
checks the defaults and the environment, which "handfast serve" would use without a file.
The exit code is 1 when the configuration has a problem, and 2 when the file does not
exist.`,
		Example: `  handfast config check handfast.yaml
  handfast config check --json handfast.yaml`,
		Args:              fileOrNone,
		ValidArgsFunction: yamlFiles,
		RunE: run(func(_ *cobra.Command, args []string) error {
			c, err := loadConfig(sys, first(args))
			if asJSON {
				return printCheckJSON(sys.Stdout, first(args), err)
			}
			if err != nil {
				return loadError(first(args), err, listProblems(sys.Stdout, err))
			}
			fmt.Fprintf(sys.Stdout, "good: %s, %s, %s\n", countNoun(len(c.Listen), "listener"), countNoun(len(c.Endpoints), "endpoint"),
				countNoun(len(c.Auth), "method"))
			if first(args) == "" && sys.Getenv(config.EnvFile) == "" {
				fmt.Fprintln(sys.Stdout, "no file was given: this checks the defaults and the environment; to check a file: handfast config check FILE")
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

// listProblems writes each problem of a configuration on one line, and the next step on the line below, unless the first line already
// contains that step. It returns the error for the command.
func listProblems(w io.Writer, err error) error {
	problems := problemsOf(err)
	if problems == nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(w, visible.Text(p.Error()))
		if p.NextStep() == "" {
			printStep(w, problemStep(p))
		}
	}
	return errReported
}

// countNoun formats a number with a noun: "1 endpoint", "2 endpoints".
func countNoun(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// printCheckJSON writes the result of a check as JSON.
func printCheckJSON(w io.Writer, file string, err error) error {
	result := struct {
		OK       bool              `json:"ok"`
		Problems []*config.Problem `json:"problems"`
	}{OK: err == nil, Problems: append([]*config.Problem{}, problemsOf(err)...)}
	if err := json.NewEncoder(w).Encode(result); err != nil {
		return err
	}
	if err != nil {
		return loadError(file, err, errReported)
	}
	return nil
}

func newConfigDefault(sys *System) *cobra.Command {
	var out outFlags
	cmd := &cobra.Command{
		Use:   "default",
		Short: "Print a configuration with all defaults, commented",
		Example: `  handfast config default
  handfast config default --output handfast.yaml`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: run(func(*cobra.Command, []string) error {
			return out.write(sys, config.Example())
		}),
	}
	out.register(cmd)
	return cmd
}

func newConfigDoc(sys *System) *cobra.Command {
	var markdown bool
	var out outFlags
	cmd := &cobra.Command{
		Use:   "doc [KEY]",
		Short: "Explain all keys, or one key and those below it",
		Example: `  handfast config doc
  handfast config doc listen.tls
  handfast config doc endpoints.rules.when
  handfast config doc --markdown --output config.md`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("write a key and one below it with a dot: handfast config doc "+shellQuote(strings.Join(args, ".")), "config doc takes one key, not %d", len(args))
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeKeys(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: run(func(_ *cobra.Command, args []string) error {
			if markdown {
				if len(args) > 0 {
					return usagef("leave out the key", "--markdown covers all keys")
				}
				return out.write(sys, config.Markdown())
			}
			text, instead := config.Doc(first(args))
			if text == "" {
				hint := `"handfast config doc" prints all of them`
				if len(instead) > 0 {
					hint = "did you mean " + strings.Join(instead, ", or ") + "?"
				}
				return &hinted{fmt.Errorf("there is no key %q", args[0]), hint}
			}
			return out.write(sys, text)
		}),
	}
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print all keys, as Markdown")
	out.register(cmd)
	return cmd
}

// completeKeys returns the keys for completion. It omits brackets and stars, which would have to be quoted in a shell.
func completeKeys() []string {
	keys := config.Keys()
	for i, k := range keys {
		keys[i] = strings.ReplaceAll(strings.ReplaceAll(k, "[]", ""), ".*", "")
	}
	return keys
}

func newConfigShow(sys *System) *cobra.Command {
	return &cobra.Command{
		Use:   "show [FILE]",
		Short: "Print the result of the defaults, a file and the environment",
		Long: `Prints every value of the configuration that "handfast serve --config FILE" would have
with this environment. Secrets are [redacted].`,
		Example: `  handfast config show handfast.yaml
  HANDFAST_LOG_LEVEL=debug handfast config show`,
		Args:              fileOrNone,
		ValidArgsFunction: yamlFiles,
		RunE: run(func(_ *cobra.Command, args []string) error {
			c, err := loadConfig(sys, first(args))
			if err != nil {
				return loadError(first(args), err, printProblems(sys.Stderr, err))
			}
			_, err = io.WriteString(sys.Stdout, visible.Text(c.YAML()))
			return err
		}),
	}
}
