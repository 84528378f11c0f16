package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/handfast/handfast/auth"
)

func newToken(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make tokens, API keys and password lines, and show tokens",
		Example: `  handfast token jwt --secret-file secret --sub alice --expires 1h
  handfast token apikey ci
  handfast token password alice >>passwords
  handfast token show @token
  handfast token check --config handfast.yaml @token`,
		RunE: group,
	}
	cmd.AddCommand(newTokenJWT(sys), newTokenShow(sys), newTokenCheck(sys), newTokenAPIKey(sys), newTokenPassword(sys))
	return cmd
}

// newTokenAPIKey prints the key on standard output, and the entry for the configuration on standard error.
func newTokenAPIKey(sys *System) *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:   "apikey ID",
		Short: "Make an API key",
		Long: `Makes an API key and prints it on standard output. The entry for the server's configuration,
with the hash of the key, is printed on standard error. The key cannot be printed again.`,
		Example: `  handfast token apikey ci
  handfast token apikey ci --user build-machine`,
		Args: exactlyOne("an ID", "name the program that uses the key: handfast token apikey ci"),
		RunE: run(func(_ *cobra.Command, args []string) error {
			key, entry, err := auth.NewAPIKey(args[0])
			if err != nil {
				return usagef("write an ID such as ci", "%q: %s", args[0], strings.TrimPrefix(err.Error(), "auth: "))
			}
			fmt.Fprintf(sys.Stderr, "for the configuration, under auth.NAME.apikey.keys:\n  - id: %s\n    hash: %s\n", entry.ID, entry.Hash)
			if user != "" {
				fmt.Fprintf(sys.Stderr, "    user: %q\n", user)
			}
			_, err = fmt.Fprintln(sys.Stdout, key)
			return err
		}),
	}
	cmd.Flags().StringVar(&user, "user", "", "the `name` of the user that the key identifies; by default the ID")
	complete(cmd, map[string][]string{"user": {}})
	return cmd
}

func newTokenPassword(sys *System) *cobra.Command {
	return &cobra.Command{
		Use:   "password USER",
		Short: "Make a line of a password file",
		Long: `Reads a password from standard input, without showing it on a terminal, and prints a
line for the password file: the user's name and the argon2id hash of the password.`,
		Example: `  handfast token password alice >>passwords
  printf '%s' "$PASSWORD" | handfast token password alice >>passwords`,
		Args: exactlyOne("the name of a user, and reads the password from standard input",
			"printf '%s' \"$PASSWORD\" | handfast token password alice; on a terminal the command asks for it"),
		RunE: run(func(_ *cobra.Command, args []string) error {
			if args[0] == "" || strings.ContainsAny(args[0], ":\r\n\t") {
				return usagef("", "the name of a user must not be empty, and must not contain a colon or a newline")
			}
			password, err := readSecret(sys, "password for "+args[0],
				"pipe the password in: printf '%s' \"$PASSWORD\" | handfast token password "+shellQuote(args[0])+"; on a terminal the command asks for it")
			if err != nil {
				return err
			}
			hash, err := auth.HashPassword(password)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(sys.Stdout, "%s:%s\n", args[0], hash)
			return err
		}),
	}
}

// maxSecret is the maximum size of a secret that is read.
const maxSecret = 64 << 10

// readToken returns the token that the argument of a command names: itself, @FILE or env:NAME. Without an argument, and with -, it
// reads standard input. A Bearer before the token is removed. command is the command with its name, for the next step.
func readToken(sys *System, command string, args []string) (token string, err error) {
	switch {
	case len(args) > 0 && args[0] == "":
	case len(args) > 0 && args[0] != "-":
		err = readCredential(sys, "TOKEN", args[0], &token)
	default:
		token, err = readSecret(sys, "token", "pass the token: "+command+" @FILE, or "+command+" <FILE")
	}
	if err != nil {
		return "", err
	}
	token = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(token), "Bearer "))
	if token == "" {
		return "", usagef("write the token, @FILE, env:NAME, or - for standard input", "the token is empty")
	}
	return token, nil
}

// oneToken accepts at most one token as the argument.
func oneToken(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("quote a token with spaces in it", "one token at a time")
	}
	return nil
}

// readSecret reads all of standard input, without the line end; from a terminal, one line that is not shown. step is the next step
// if there is nothing to read.
func readSecret(sys *System, what, step string) (string, error) {
	if t := terminal(sys.Stdin); t != nil {
		fmt.Fprintf(sys.Stderr, "%s: ", what)
		if before, err := term.GetState(int(t.Fd())); err == nil { // the state in which the terminal shows input
			restore := func() {
				fmt.Fprintln(sys.Stderr)
				_ = term.Restore(int(t.Fd()), before) // the process is ending, so an error does not matter
			}
			sys.restore.Store(&restore)
			defer sys.restore.Store(nil)
		}
		b, err := term.ReadPassword(int(t.Fd()))
		fmt.Fprintln(sys.Stderr)
		if err != nil {
			return "", err
		}
		return notEmpty(string(b), step)
	}
	b, err := io.ReadAll(io.LimitReader(sys.Stdin, maxSecret+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxSecret:
		return "", fmt.Errorf("standard input has more than %d KiB", maxSecret>>10)
	}
	return notEmpty(strings.TrimRight(string(b), "\r\n"), step)
}

func notEmpty(s, step string) (string, error) {
	if s == "" {
		return "", &hinted{errors.New("standard input is empty"), step}
	}
	return s, nil
}
