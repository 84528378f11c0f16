package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/internal/visible"
)

func newCert(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make and trust the development certificate; show any certificate",
		Example: `  handfast cert dev                     make the development certificate
  handfast cert show                    its names, its validity, its path
  handfast cert show example.com:443    the certificate of a server, and whether it is valid
  handfast cert trust                   make browsers and curl on this machine trust it`,
		RunE: group,
	}
	cmd.AddCommand(newCertDev(sys), newCertShow(sys), newCertTrust(sys), newCertUntrust(sys))
	return cmd
}

func newCertDev(sys *System) *cobra.Command {
	var renew bool
	var hosts []string
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Make a development CA and a certificate for localhost",
		Long: `Makes a certificate authority for this user, and a certificate signed by it for
localhost, the machine's host name, 127.0.0.1 and ::1. Existing files that are still
valid are kept; "handfast serve" does the same automatically.

With --host the certificate is for additional names and addresses of this machine, so
that a phone or another machine can connect. That device must trust the CA, too:
"handfast cert show --path" prints the path of the file to copy to the device.

The CA may sign certificates for those names only, which limits the damage of a stolen key.
The key stays in its file. For names that the CA was not made for, --new makes another
one, which every device must trust again.`,
		Example: `  handfast cert dev
  handfast cert dev --host 192.0.2.7 --host mypc.lan
  handfast cert dev --new --host 192.0.2.7`,
		Args: noArgs,
		RunE: run(func(*cobra.Command, []string) error { return makeDev(sys, hosts, renew) }),
	}
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "an additional `name` or address for the certificate; may be repeated")
	complete(cmd, map[string][]string{"host": {}})
	cmd.Flags().BoolVar(&renew, "new", false, "discard the CA and make a new one, which clients must trust again")
	return cmd
}

// makeDev opens or replaces the development certificate, and shows it.
func makeDev(sys *System, hosts []string, renew bool) error {
	dir, err := certs.DevDir()
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	open, left := certs.OpenDev, ""
	var before []string // the names for which the replaced CA may sign
	if renew {
		open = certs.RenewDev
		if old, err := certs.DevCA(dir); err == nil {
			before = permittedNames(old)
			if isFile(trustedIn(old)) {
				left = trustedIn(old)
			}
		}
	}
	dev, err := open(dir, host, hosts...)
	if err != nil {
		if e, ok := errors.AsType[*certs.Error](err); ok && slices.Contains(hosts, e.Path) {
			return badValue(e.NextStep(), "--host", e.Path, e.Err)
		}
		return err
	}
	showDev(newPaint(sys, sys.Stdout), sys.Stdout, describeDev(dir, dev.CA(), dev.Leaf(), time.Now()))
	if dev.Left() != "" {
		fmt.Fprintln(sys.Stderr, missingHostNote(dev.Left()))
	}
	now := permittedNames(dev.CA())
	if lost := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(now, name) }); len(lost) > 0 {
		fmt.Fprintf(sys.Stderr, "the previous CA was also for %s; the new one is not\n", visible.Text(strings.Join(lost, ", ")))
	}
	if left != "" {
		fmt.Fprintf(sys.Stderr, "this machine still trusts the old CA, whose key no longer exists\n  next step: handfast cert untrust %s\n",
			visible.Text(shellQuote(left)))
	}
	return nil
}

// missingHostNote reports that the certificate lacks the host name.
func missingHostNote(host string) string {
	return fmt.Sprintf("the certificate is not for %s: the CA was made when this machine had another name\n"+
		"  next step: handfast cert dev --new", host)
}

// devDir returns the directory of the development CA, or an error with a hint if there is none.
func devDir() (string, error) {
	dir, err := certs.DevDir()
	if err != nil {
		return "", err
	}
	if _, err := certs.DevCA(dir); errors.Is(err, fs.ErrNotExist) {
		return "", &hinted{fmt.Errorf("there is no development CA in %s yet", dir), `run "handfast cert dev" to make one`}
	}
	return dir, nil
}

// showDevDir shows the existing development certificate.
func showDevDir(sys *System, pathOnly, asJSON bool) error {
	dir, err := devDir()
	if err != nil {
		return err
	}
	ca, err := certs.DevCA(dir)
	if err != nil {
		return err
	}
	if pathOnly {
		fmt.Fprintln(sys.Stdout, certs.CAFile(dir))
		return nil
	}
	leaf, err := certs.DevLeaf(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d := describeDev(dir, ca, leaf, time.Now())
	if asJSON {
		return writeJSON(sys.Stdout, d)
	}
	showDev(newPaint(sys, sys.Stdout), sys.Stdout, d)
	return nil
}

// devInfo is the output of "cert show --json" for the development certificate.
type devInfo struct {
	CAFile   string    `json:"caFile"`
	SignsFor []string  `json:"signsFor"`          // empty means any name
	Trusted  string    `json:"trusted,omitempty"` // the file in the system's store; empty if there is none
	CA       certInfo  `json:"ca"`
	LeafFile string    `json:"leafFile,omitempty"`
	Leaf     *certInfo `json:"leaf,omitempty"`
}

// showDev writes the development certificate as text.
func showDev(p paint, w io.Writer, d devInfo) {
	row := rows(p, w)
	fmt.Fprintln(w, p.bold(d.CA.Subject))
	row("file", d.CAFile)
	signs := "anything: this CA was not made by handfast"
	if len(d.SignsFor) > 0 {
		signs = strings.Join(d.SignsFor, ", ") + ", and nothing else"
	}
	row("signs for", signs)
	if d.Trusted != "" {
		row("trusted", "yes, in the system's store: "+d.Trusted)
	} else {
		row("trusted", `not by the system's store: to add the CA, run "handfast cert trust"`)
	}
	showCert(p, row, d.CA)
	if d.Leaf == nil {
		return
	}
	fmt.Fprintln(w, p.bold("certificate of the server"))
	row("file", d.LeafFile)
	row("is for", strings.Join(d.Leaf.Names, ", "))
	showCert(p, row, *d.Leaf)
}
