package cli

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/certs"
)

func newCert(sys *System) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make and show the development certificate",
		Example: `  handfast cert dev      make it, if it is not there yet
  handfast cert show     what it is for, how long, where it lies`,
		RunE: help,
	}
	cmd.AddCommand(newCertDev(sys), newCertShow(sys))
	return cmd
}

func newCertDev(sys *System) *cobra.Command {
	var renew bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Make a development CA and a certificate for localhost",
		Long: `Makes a certificate authority for this user and lets it sign a certificate for
localhost, the machine's host name, 127.0.0.1 and ::1. What is there already and
still good stays; "handfast serve" does the same by itself.

The CA may vouch for those names and for nothing else, so that its key, should it
be stolen, is worth little. The key stays in its file.`,
		Example: `  handfast cert dev
  handfast cert dev --new`,
		Args: cobra.NoArgs,
		RunE: run(func(*cobra.Command, []string) error {
			dir, err := certs.DevDir()
			if err != nil {
				return err
			}
			host, err := os.Hostname()
			if err != nil {
				host = ""
			}
			open := certs.OpenDev
			if renew {
				open = certs.RenewDev
			}
			dev, err := open(dir, host)
			if err != nil {
				return err
			}
			showCerts(sys.Stdout, dir, dev.CA(), dev.Leaf())
			if dev.Left() != "" {
				fmt.Fprintln(sys.Stderr, leftOut(dev.Left()))
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&renew, "new", false, "throw the CA away and make another one; whoever trusted it must trust the new one")
	return cmd
}

func newCertShow(sys *System) *cobra.Command {
	var path bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the development CA and its certificate",
		Example: `  handfast cert show
  curl --cacert "$(handfast cert show --path)" https://localhost:8443/`,
		Args: cobra.NoArgs,
		RunE: run(func(*cobra.Command, []string) error {
			dir, err := certs.DevDir()
			if err != nil {
				return err
			}
			ca, err := certs.DevCA(dir)
			if errors.Is(err, fs.ErrNotExist) {
				return &hinted{fmt.Errorf("there is no development CA in %s yet", dir), `run "handfast cert dev" to make one`}
			}
			if err != nil {
				return err
			}
			if path {
				fmt.Fprintln(sys.Stdout, certs.CAFile(dir))
				return nil
			}
			leaf, err := certs.DevLeaf(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			showCerts(sys.Stdout, dir, ca, leaf)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&path, "path", false, "print the path of the CA's certificate, and no more")
	return cmd
}

// leftOut says that the certificate lacks the host name.
func leftOut(host string) string {
	return fmt.Sprintf("the certificate is not for %s: the CA was made when this machine had another name\n"+
		"  next step: handfast cert dev --new", host)
}

// showCerts writes what people want to know about the two. leaf may be nil.
func showCerts(w io.Writer, dir string, ca, leaf *x509.Certificate) {
	fmt.Fprintln(w, ca.Subject.CommonName)
	may := append([]string(nil), ca.PermittedDNSDomains...)
	for _, n := range ca.PermittedIPRanges {
		may = append(may, n.String())
	}
	signs := "anything: it was not made by handfast"
	if len(may) > 0 {
		signs = strings.Join(may, ", ") + ", and nothing else"
	}
	row := func(name, value string) { fmt.Fprintf(w, "  %-12s %s\n", name, value) }
	row("file", certs.CAFile(dir))
	row("signs for", printable(signs))
	showCert(row, ca)
	if leaf == nil {
		return
	}
	fmt.Fprintln(w, "certificate of the server")
	row("file", certs.LeafFile(dir))
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	row("is for", printable(strings.Join(names, ", ")))
	showCert(row, leaf)
}

func showCert(row func(name, value string), cert *x509.Certificate) {
	row("valid", cert.NotBefore.Format(time.DateOnly)+" to "+cert.NotAfter.Format(time.DateOnly))
	row("SHA-256", fmt.Sprintf("%X", sha256.Sum256(cert.Raw)))
}
