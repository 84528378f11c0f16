package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/gateway"
)

// serveFlags is what the command line says about a server.
type serveFlags struct {
	listen  []string
	tls     choice
	cert    string
	key     string
	origins []string
	log     choice
}

func newServe(sys *System) *cobra.Command {
	f := serveFlags{
		tls: choice{"dev", []string{"dev", "off", "files"}},
		log: choice{"text", []string{"text", "json"}},
	}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server: a page at / and a WebSocket echo at /echo",
		Long: `Runs a server with a page at / and a WebSocket echo at /echo, where messages of up
to 16 MiB come back as they were.

The first start makes a certificate authority for this user and a certificate for
localhost. "handfast dial" trusts that by itself; a browser asks once. Pages of other
sites may not connect unless --origin names them.

SIGTERM and Ctrl-C stop it: every WebSocket is closed with 1001, and those that do not
answer within 5 seconds are cut. A second one stops it at once.`,
		Example: `  handfast serve
  handfast serve --listen 127.0.0.1:9000 --tls off
  handfast serve --listen :443 --tls files --cert fullchain.pem --key privkey.pem`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), sys, &f) }),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.listen, "listen", []string{gateway.DefaultListen},
		"`host:port`; may be repeated; no host is every address, port 0 picks one")
	flags.Var(&f.tls, "tls", "where the certificate comes from: the development CA, two files, or no TLS")
	flags.StringVar(&f.cert, "cert", "", "for --tls files: the certificate and its chain, a PEM `file`")
	flags.StringVar(&f.key, "key", "", "for --tls files: its private key, a PEM `file`")
	flags.StringArrayVar(&f.origins, "origin", nil,
		"a web `origin` whose pages may connect too, such as https://example.com; may be repeated")
	flags.Var(&f.log, "log", "the form of the log on standard error")
	complete(cmd, map[string][]string{
		"listen": {"localhost:8443", "127.0.0.1:0", ":8443"}, "tls": f.tls.allowed, "log": f.log.allowed, "origin": {},
	})
	return cmd
}

// options checks the flags and turns them into the gateway's.
func (f *serveFlags) options(w io.Writer) (gateway.Options, error) {
	for _, addr := range f.listen {
		if err := checkListen(addr); err != nil {
			return gateway.Options{}, err
		}
	}
	for _, origin := range f.origins {
		if err := checkOrigin(origin); err != nil {
			return gateway.Options{}, err
		}
	}
	opts := gateway.Options{
		Listen: f.listen, TLS: gateway.TLSMode(f.tls.value), CertFile: f.cert, KeyFile: f.key, Origins: f.origins,
	}
	given := f.cert != "" || f.key != ""
	switch {
	case opts.TLS == gateway.TLSFiles && (f.cert == "" || f.key == ""):
		return opts, usagef("give both; one file may serve as both", "--tls files needs --cert and --key")
	case opts.TLS != gateway.TLSFiles && given:
		return opts, usagef("add --tls files", "--cert and --key have no use with --tls %s", f.tls.value)
	}
	if f.log.value == "json" {
		opts.Log = slog.New(slog.NewJSONHandler(w, nil))
	} else {
		opts.Log = slog.New(slog.NewTextHandler(w, nil))
	}
	return opts, nil
}

// serve runs a server until a signal comes.
func serve(ctx context.Context, sys *System, f *serveFlags) error {
	opts, err := f.options(sys.Stderr)
	if err != nil {
		return err
	}
	server, err := gateway.Open(ctx, opts)
	if err != nil {
		return err
	}
	defer server.Close()
	banner(sys, server)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	for signals := 0; ; {
		select {
		case err := <-served:
			if signals > 1 {
				return errInterrupted
			}
			return err
		case <-sys.Signals:
			if signals++; signals == 1 {
				stop()
			} else {
				server.Close()
			}
		}
	}
}

// checkListen makes sure that an address is one, so that a typing error is told as such.
func checkListen(addr string) error {
	hint := "write host:port, such as localhost:8443, or :8443 for every address of this machine"
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef(hint, "--listen %s: that is no address with a port", strconv.Quote(addr))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return usagef(hint, "--listen %s: the port is a number from 0 to 65535", strconv.Quote(addr))
	}
	return nil
}

// checkOrigin makes sure that an origin is one (RFC 6454 §6.2): what the library would find wrong at every handshake.
func checkOrigin(origin string) error {
	if origin == "null" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || origin != u.Scheme+"://"+u.Host ||
		strings.Contains(u.Host, "*") {
		return usagef("write scheme and host, and the port if it is not the usual one: https://example.com",
			"--origin %s is no web origin", strconv.Quote(origin))
	}
	return nil
}

// complete lets the shell offer values for flags; with none it offers nothing, not even files.
func complete(cmd *cobra.Command, values map[string][]string) {
	for flag, list := range values {
		err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp))
		if err != nil {
			panic(fmt.Sprintf("completion for --%s: %v", flag, err)) // there is no such flag: a mistake in this package
		}
	}
}
