package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/certs"
	"github.com/handfast/handfast/internal/chain"
	"github.com/handfast/handfast/internal/visible"
)

// showFlags are the flags of "cert show".
type showFlags struct {
	path   bool
	json   bool
	name   string
	cacert string
	wait   time.Duration
}

func newCertShow(sys *System) *cobra.Command {
	var f showFlags
	cmd := &cobra.Command{
		Use:   "show [FILE | HOST:PORT]",
		Short: "Show a certificate: the development certificate, a file's or a server's",
		Long: `Without an argument the command shows the development CA and its certificate. With a
file it shows the certificates in the file. With a host and a port it connects to the
server and shows the certificates that the server presents, whether clients on this machine would
trust them, and if not, why. It sends nothing except a TLS handshake.

The exit code is 0 when the certificate is valid and 1 when it is not. The certificate of
a server is not valid if clients would reject it, and that of a file if it has expired or
its chain is incomplete.`,
		Example: `  handfast cert show
  curl --cacert "$(handfast cert show --path)" https://localhost:8443/
  handfast cert show /etc/ssl/fullchain.pem
  handfast cert show example.com:443
  handfast cert show 192.0.2.7:8443 --name chat.example.com --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("", "cert show takes one file or one host")
			}
			return nil
		},
		RunE: run(func(cmd *cobra.Command, args []string) error { return f.show(cmd.Context(), sys, args) }),
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.path, "path", false, "print only the path of the development CA's certificate")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	flags.StringVar(&f.name, "name", "", "the expected host `name`, if it differs from HOST")
	flags.StringVar(&f.cacert, "cacert", "", "trust only the CAs in this PEM `file`")
	flags.DurationVar(&f.wait, "timeout", 10*time.Second, "how long to wait for the server")
	complete(cmd, map[string][]string{"name": {}, "timeout": {"3s", "10s", "30s"}})
	return cmd
}

// chainInfo is the output of "cert show --json" for a file or a server.
type chainInfo struct {
	Target   string     `json:"target"`
	TLS      *tlsInfo   `json:"tls,omitempty"` // nil for a file
	Verified bool       `json:"verified"`
	By       string     `json:"verifiedBy,omitempty"` // the trusted authority at the end of the chain
	Problems []fault    `json:"problems"`
	Notes    []string   `json:"notes,omitempty"`
	Chain    []certInfo `json:"chain"`

	bad bool // whether the exit code is 1
}

// fault is a problem of a certificate, with the next step.
type fault struct {
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`

	kind chain.Kind
}

func (f *showFlags) show(ctx context.Context, sys *System, args []string) error {
	if len(args) == 0 {
		switch {
		case f.path && f.json:
			return usagef("", "--path and --json cannot be used together")
		case f.name != "" || f.cacert != "":
			return usagef("", "--name and --cacert can be used only with a file or a server")
		}
		return showDevDir(sys, f.path, f.json)
	}
	target := args[0]
	isFile, address, err := targetOf(target)
	switch {
	case err != nil:
		return err
	case f.path:
		return usagef("", "--path cannot be used with a file or a server: it is for the development CA")
	case f.wait <= 0:
		return usagef("write a duration such as 30s", "--timeout must be positive")
	}
	roots := defaultRoots(sys)
	if f.cacert != "" {
		if roots, err = readRoots(f.cacert); err != nil {
			return err
		}
	}
	var shown chainInfo
	if isFile {
		shown, err = f.inspectFile(target, roots, time.Now())
	} else {
		shown, err = f.inspectServer(ctx, address, roots)
	}
	if err != nil {
		return err
	}
	if f.json {
		err = writeJSON(sys.Stdout, shown)
	} else {
		showChain(newPaint(sys, sys.Stdout), sys.Stdout, shown)
	}
	if err == nil && shown.bad {
		return errReported
	}
	return err
}

// targetOf determines whether an argument is a file, or a server's address or URL.
func targetOf(s string) (isFile bool, address string, err error) {
	if _, err := os.Stat(s); err == nil {
		return true, "", nil
	}
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" {
			return false, "", usagef("write HOST:PORT", "%q is not the URL of a server", s)
		}
		port := u.Port()
		if port == "" {
			port = "443"
		}
		return false, net.JoinHostPort(u.Hostname(), port), nil
	}
	if host, port, err := net.SplitHostPort(s); err == nil && host != "" && port != "" && !strings.ContainsAny(s, `/\`) {
		return false, s, nil
	}
	if filepath.Base(s) != s || filepath.Ext(s) == ".pem" || filepath.Ext(s) == ".crt" || filepath.Ext(s) == ".cer" {
		return true, "", nil // reading the file will report that it does not exist
	}
	return false, "", usagef("write HOST:PORT, such as "+s+":443", "%q is neither an existing file nor a server", s)
}

// inspectFile shows the certificates in a file.
func (f *showFlags) inspectFile(path string, roots *x509.CertPool, now time.Time) (chainInfo, error) {
	shown := chainInfo{Target: path, Problems: []fault{}}
	list, hasKey, err := readChain(path)
	if err != nil {
		return shown, wrongFile("", err)
	}
	if hasKey {
		note := "this file also holds the private key of the first certificate"
		if _, err := certs.LoadFiles(path, path); err != nil {
			note = "this file holds a private key that does not belong to the first certificate"
		}
		shown.Notes = append(shown.Notes, note)
	}
	shown.verify(list, f.name, roots, now)
	shown.bad = shown.hasFileProblem(list)
	return shown, nil
}

// readChain reads the certificates in a PEM file, or the one in a DER file, and reports whether the file also contains a private
// key.
func readChain(path string) (list []*x509.Certificate, hasKey bool, err error) {
	fail := func(err error, hint string) ([]*x509.Certificate, bool, error) {
		return nil, false, &certs.Error{Path: path, Err: err, Hint: hint}
	}
	const hint = "give the path of a file with certificates in PEM or DER"
	b, err := os.ReadFile(path)
	if err != nil {
		return fail(errors.Unwrap(err), hint)
	}
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			hasKey = hasKey || strings.HasSuffix(block.Type, "PRIVATE KEY")
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fail(fmt.Errorf("holds a broken certificate: %w", err), "replace the file with a complete one")
		}
		list = append(list, cert)
	}
	if len(list) > 0 {
		return list, hasKey, nil
	}
	if hasKey {
		return fail(errors.New("holds a private key but no certificate"), hint)
	}
	if cert, err := x509.ParseCertificate(b); err == nil {
		return []*x509.Certificate{cert}, false, nil
	}
	return fail(errors.New("holds no certificate"), hint)
}

// showChain writes the description of a chain as text.
func showChain(p paint, w io.Writer, s chainInfo) {
	head := p.bold(visible.Text(s.Target))
	if s.TLS != nil {
		head += "  " + strings.Join(s.TLS.parts(), ", ")
	}
	fmt.Fprintln(w, head)
	row := rows(p, w)
	if s.Verified {
		row("verifies", p.green("yes")+", by "+visible.Text(s.By))
	}
	for _, f := range s.Problems {
		row("verifies", p.style("31", "no")+": "+visible.Text(f.Problem))
		if f.Hint != "" {
			row("", "next step: "+visible.Text(f.Hint))
		}
	}
	for _, note := range s.Notes {
		row("note", visible.Text(note))
	}
	for i, c := range s.Chain {
		fmt.Fprintf(w, "%s  %s\n", p.dim(fmt.Sprintf("%d of %d", i+1, len(s.Chain))), p.bold(visible.Text(c.Subject)))
		if len(c.Names) > 0 {
			row("is for", visible.Text(strings.Join(c.Names, ", ")))
		}
		if c.CA {
			row("is a", "certificate authority")
		}
		showCert(p, row, c)
	}
}
