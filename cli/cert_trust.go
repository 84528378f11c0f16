package cli

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/smallstep/truststore"
	"github.com/spf13/cobra"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/internal/visible"
)

func newCertTrust(sys *System) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "trust [CA-FILE]",
		Short: "Make this machine's browsers and programs trust the development CA",
		Long: `Adds the certificate of the development CA to the system's certificate store, and to
those of this user's Firefox and Chromium, which requires certutil. If Chromium is
installed and has no store, one is created. Firefox creates its store when it first runs:
after that, run the command again. The key of the CA is not copied. "handfast cert
untrust" removes the certificate again.

The exit code is 1 if a store that exists could not be changed, or if there is no store.

The system's store requires root. If sudo is installed, it is used, and may ask for a
password. To trust another user's CA as root, name the file of its certificate.`,
		Example: `  handfast cert trust --dry-run
  handfast cert trust
  sudo handfast cert trust "$(handfast cert show --path)"`,
		Args: atMostOneFile,
		RunE: run(func(_ *cobra.Command, args []string) error { return changeTrust(sys, args, true, dryRun) }),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the actions without taking them")
	return cmd
}

func newCertUntrust(sys *System) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "untrust [CA-FILE]",
		Short: "Remove the development CA from the stores",
		Long: `Removes the certificate of the development CA from the stores that "handfast cert
trust" adds it to. Stores without it do not change.`,
		Example: `  handfast cert untrust
  handfast cert untrust --dry-run`,
		Args: atMostOneFile,
		RunE: run(func(_ *cobra.Command, args []string) error { return changeTrust(sys, args, false, dryRun) }),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the actions without taking them")
	return cmd
}

func atMostOneFile(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("", "one file at a time")
	}
	return nil
}

// store is a certificate store that programs use.
type store struct {
	name            string                 // the programs that use the store
	where           string                 // the file or the directories
	absent          string                 // the reason why the store cannot be used; "" if it can
	installed       bool                   // whether all files or directories of the store contain the CA
	partlyInstalled bool                   // whether at least one of them contains the CA
	add             []string               // the effect of adding the CA, for display
	remove          []string               // the effect of removing the CA, for display
	blocked         string                 // the reason why an existing store cannot be changed; "" if it can
	step            string                 // the next step if blocked is set; "" means run as root
	change          func(trust bool) error // adds or removes the CA
}

// upToDate reports whether the store needs no change to add the CA (if trust) or to remove it.
func (s store) upToDate(trust bool) bool {
	if trust {
		return s.installed
	}
	return !s.partlyInstalled
}

// changeTrust adds a CA to all stores (if trust), or removes it from them. dryRun means that the changes are only printed.
func changeTrust(sys *System, args []string, trust, dryRun bool) error {
	ca, path, err := authorityOf(args)
	if err != nil {
		return err
	}
	p := newPaint(sys, sys.Stdout)
	fmt.Fprintln(sys.Stdout, p.bold(visible.Text(ca.Subject.CommonName)))
	row := rows(p, sys.Stdout)
	if names := permittedNames(ca); trust && len(names) > 0 {
		row("signs for", visible.Text(strings.Join(names, ", "))+", and nothing else")
	} else if trust {
		row("signs for", p.style("31", "anything")+": anyone with the key of the CA can pose as any server to this machine")
	}
	return changeStores(sys, []store{systemStore(ca), browserStore(ca, path)}, path, trust, dryRun)
}

// changeStores adds the CA in the file path to stores (if trust), or removes it from them, and prints the changes. dryRun means that it
// only prints them.
func changeStores(sys *System, stores []store, path string, trust, dryRun bool) error {
	p := newPaint(sys, sys.Stdout)
	row := rows(p, sys.Stdout)
	verb, done, idle := "untrust", "no longer trusts it: ", "does not have it: "
	if trust {
		verb, done, idle = "trust", "now trusts it: ", "already trusts it: "
	}
	var failed []error
	absent := 0
	for _, s := range stores {
		fail := func(says string, err error, step string) {
			row(s.name, p.style("31", "no")+": "+visible.Text(says))
			failed = append(failed, &hinted{fmt.Errorf("the %s: %w", s.name, err), step})
		}
		switch {
		case s.absent != "":
			absent++
			row(s.name, p.dim("skipped: "+visible.Text(s.absent)))
		case s.upToDate(trust):
			row(s.name, idle+visible.Text(s.where))
		case dryRun:
			steps := s.remove
			if trust {
				steps = s.add
			}
			for _, step := range steps {
				row(s.name, "would "+visible.Text(step))
			}
			if s.blocked != "" {
				row("", p.style("33", "cannot: "+visible.Text(s.blocked)))
			}
		case s.blocked != "":
			fail(s.blocked, errors.New(s.blocked), cmp.Or(s.step, fmt.Sprintf("run as root: handfast cert %s %s", verb, shellQuote(path))))
		default:
			if err := s.change(trust); err != nil {
				fail("the store could not be changed", err, "--dry-run prints the commands, which can be run by hand")
				continue
			}
			row(s.name, p.green(done)+visible.Text(s.where))
		}
	}
	if trust && absent == len(stores) {
		return &hinted{errors.New("no store can be changed"),
			"install the missing programs, or start the browser once; programs such as curl accept the CA's file: --cacert " + shellQuote(path)}
	}
	if trust && absent+len(failed) < len(stores) && !dryRun {
		row("", p.dim(`restart running programs to apply the change; "handfast cert untrust" reverts it`))
	}
	return allFailed(failed)
}

// allFailed combines the errors of stores into one, each with its next step, on one line.
func allFailed(failed []error) error {
	if len(failed) < 2 {
		return errors.Join(failed...)
	}
	var texts, steps []string
	for _, err := range failed {
		texts, steps = append(texts, err.Error()), append(steps, nextstep.Of(err))
	}
	return &hinted{errors.New(strings.Join(texts, "; ")), strings.Join(steps, "; ")}
}

// authorityOf reads the CA that the arguments specify, and returns the path of its certificate.
func authorityOf(args []string) (*x509.Certificate, string, error) {
	if len(args) == 0 {
		dir, err := devDir()
		if err != nil {
			return nil, "", err
		}
		ca, err := certs.DevCA(dir)
		return ca, certs.CAFile(dir), err
	}
	path, err := filepath.Abs(args[0])
	if err != nil {
		return nil, "", err
	}
	chain, _, err := readChain(path)
	switch {
	case err != nil:
		return nil, "", wrongFile("", err)
	case len(chain) != 1 || !chain[0].IsCA:
		return nil, "", wrongFile("", &certs.Error{Path: path, Err: errors.New("is not the certificate of a single CA"),
			Hint: "give the file that \"handfast cert show --path\" prints"})
	}
	return chain[0], path, nil
}

// uniqueName is the name under which truststore adds a certificate to a store.
func uniqueName(ca *x509.Certificate) string {
	name := ca.Subject.CommonName
	if name == "" {
		name = "Truststore Development CA"
	}
	return name + " " + ca.SerialNumber.String()
}

// trustedIn returns the file in the system's store that contains a certificate, on systems that have such files; "" if there is
// none.
func trustedIn(ca *x509.Certificate) string {
	if s := systemStore(ca); s.installed {
		return s.where
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// withOutput adds the output of the failed command to an error of truststore.
func withOutput(err error) error {
	failed, ok := errors.AsType[*truststore.CmdError](err)
	if !ok {
		return err
	}
	output, _, _ := strings.Cut(strings.TrimSpace(string(failed.Out())), "\n")
	if output == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, output)
}
