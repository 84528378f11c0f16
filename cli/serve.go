package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	config  string
	listen  []string
	tls     choice
	cert    string
	key     string
	hosts   []string
	origins []string
	admin   string
	log     choice
	hub     hubFlags
	balance *balanceFlags // nil if the command is not a balancer

	given func(flag string) bool // reports whether a flag was given
}

const serveHelp = `Runs a server. Without --config it serves a page with a chat at /, channels at /channels,
which are open to all clients ("handfast publish", "handfast subscribe"), and a WebSocket
echo at /echo, which returns messages of up to 16 MiB.

A --listen address without a host means every address of the machine, and port 0 selects
a free port. An address that begins with http:// is served without TLS, regardless of --tls.

The first start makes a certificate authority for this user and a certificate for
localhost. "handfast dial" trusts that certificate automatically; a browser asks once. --host adds names
and addresses of this machine, for phones and other machines. Pages of other sites may not
connect unless --origin names them.

Channels belong to an application. Without a file the application is "dev", with a secret that the first
start generates and stores.
--app configures other applications instead; the first one serves its channels at /channels.

With --engine redis several servers act as one: they share the Redis of --redis-url, which
stores the state of channels. A server that cannot reach Redis starts, and becomes ready when it can.

With --engine nats the servers need no external service: each embeds a NATS server that
listens on --cluster-listen and joins those of other nodes. Nodes on other machines require
--cluster-secret-file, --cluster-cert and --cluster-ca. The state of channels is stored in a
subdirectory of the state directory for each address of --cluster-listen
(nats/127.0.0.1_6222, or nats/alone), which only one process may use. --nats-url is for
external NATS servers. Other users of the machine can see a password in a URL on the command
line, but not one in a file: @FILE.

With --config the file sets the endpoints, who may connect, and the limits; "handfast config
doc" lists its keys. Endpoints are required, and there is no page unless the file enables
it. Environment variables override the file, and flags override both.

The server reloads its files when they change, and on SIGHUP, which also reopens the audit
log: connections of endpoints that still exist continue, and a configuration with a mistake
changes nothing.

SIGTERM and Ctrl-C stop the server: /readyz reports that it is stopping, new
connections are rejected with 503, and every WebSocket is closed with 1001, or with the code
in the file. Connections that do not answer in time are then closed. A second signal stops the server immediately.

The exit code is 0 after SIGTERM or Ctrl-C, 1 when the server cannot start, as with a mistake
in the file, and 2 when the command line is wrong or the file cannot be read.`

func newServe(sys *System) *cobra.Command {
	f := serveFlags{
		tls: choice{"dev", []string{"dev", "off", "files"}},
		log: choice{"text", []string{"text", "json"}},
	}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server: a chat at /, channels and a WebSocket echo, or the endpoints of a file",
		Long:  serveHelp,
		Example: `  handfast serve
  handfast serve --listen 127.0.0.1:9000 --tls off
  handfast serve --listen localhost:8443 --listen http://127.0.0.1:9000
  handfast serve --listen :8443 --host 192.0.2.7
  handfast serve --listen :443 --tls files --cert fullchain.pem --key privkey.pem
  handfast serve --engine redis --redis-url redis://127.0.0.1:6379
  handfast serve --engine nats --cluster-listen 127.0.0.1:6222
  handfast serve --listen :8444 --engine nats --cluster-listen 127.0.0.1:6223 --join 127.0.0.1:6222
  handfast serve --config handfast.yaml --admin 127.0.0.1:9090`,
		Args: noArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			f.given = func(flag string) bool { return cmd.Flags().Changed(flag) }
			return serve(cmd.Context(), sys, &f)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "the configuration, a YAML `file`; by default the one that HANDFAST_CONFIG names")
	flags.StringArrayVar(&f.listen, "listen", []string{gateway.DefaultListen},
		"`host:port`; may be repeated; without TLS if it begins with http://")
	flags.Var(&f.tls, "tls", "the source of the certificate: the development CA, two files, or no TLS")
	flags.StringVar(&f.cert, "cert", "", "for --tls files: the certificate and its chain, a PEM `file`")
	flags.StringVar(&f.key, "key", "", "for --tls files: the private key of --cert, a PEM `file`")
	f.defineHosts(cmd)
	flags.StringArrayVar(&f.origins, "origin", nil,
		"a web `origin` whose pages may connect too, such as https://example.com; may be repeated")
	flags.StringVar(&f.admin, "admin", "",
		"`host:port` of the admin listener: /readyz, /metrics, /info, /channels")
	f.hub.register(cmd)
	flags.Var(&f.log, "log", "the form of the log on standard error")
	complete(cmd, map[string][]string{
		"listen": {"localhost:8443", "127.0.0.1:0", ":8443", "http://127.0.0.1:9000"}, "tls": f.tls.allowed, "log": f.log.allowed, "origin": {},
		"admin": {"127.0.0.1:9090"},
	})
	return cmd
}

// defineHosts adds the flag for additional names of a development certificate.
func (f *serveFlags) defineHosts(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil,
		"for --tls dev: an additional `name` or address for the certificate; may be repeated")
	complete(cmd, map[string][]string{"host": {}})
}

// check checks the flags, so that a mistake is reported as an error in the command line.
func (f *serveFlags) check() error {
	for _, addr := range f.listen {
		scheme, addr := listenScheme(addr)
		if err := checkListen("--listen", addr); err != nil {
			return err
		}
		if scheme == "https" && f.tls.value == "off" {
			return usagef("omit --tls off, and write http:// before the addresses without TLS",
				"--listen https://%s and --tls off cannot be used together", addr)
		}
	}
	for _, origin := range f.origins {
		if err := checkOrigin(origin); err != nil {
			return err
		}
	}
	if f.given("admin") && f.admin != "off" {
		if err := checkListen("--admin", f.admin); err != nil {
			return err
		}
	}
	if err := f.hub.check(f.given); err != nil {
		return err
	}
	if f.balance != nil {
		if err := f.balance.checkFlags(f.given); err != nil {
			return err
		}
	}
	files := f.tls.value == "files"
	switch {
	case files && (f.cert == "" || f.key == ""):
		return usagef("give both; one file may contain the certificate and the key", "--tls files requires --cert and --key")
	case len(f.hosts) > 0 && f.given("tls") && f.tls.value != "dev":
		return usagef("omit --host, or name a certificate for that host with --tls files", "--host cannot be used with --tls %s", f.tls.value)
	case !files && (f.cert != "" || f.key != ""):
		return usagef("add --tls files", "--cert and --key cannot be used with --tls %s", f.tls.value)
	}
	return nil
}

// listenScheme splits the scheme from an address: "http" means no TLS, and "" means that --tls decides.
func listenScheme(s string) (scheme, addr string) {
	for _, scheme := range []string{"http", "https"} {
		if addr, ok := strings.CutPrefix(s, scheme+"://"); ok {
			return scheme, strings.TrimSuffix(addr, "/")
		}
	}
	return "", s
}

// checkListen checks an address, so that a mistake is reported as an error in the command line.
func checkListen(flag, addr string) error {
	hint := "write host:port, such as localhost:8443, or :8443 for every address of this machine"
	if flag == "--admin" {
		hint = "write host:port, such as 127.0.0.1:9090"
	}
	var a config.Address
	err := a.UnmarshalText([]byte(addr))
	if err == nil && a.Off() {
		err = errors.New("not an address")
	}
	return badValue(hint, flag, addr, err)
}

// checkOrigin checks an origin, because the library would reject every handshake with an invalid one.
func checkOrigin(origin string) error {
	var o config.Origin
	return badValue("write scheme and host, and the port if it is not the default: https://example.com", "--origin", origin,
		o.UnmarshalText([]byte(origin)))
}

// badValue returns the error for a flag whose value has caused err, or nil if err is nil.
func badValue(hint, flag, value string, err error) error {
	if err == nil {
		return nil
	}
	return usagef(hint, "%s %s: %v", flag, strconv.Quote(value), err)
}

// complete sets the values for the completion of flags. For a flag without values, the shell completes nothing, not even file names.
func complete(cmd *cobra.Command, values map[string][]string) {
	for flag, list := range values {
		err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp))
		if err != nil {
			panic(fmt.Sprintf("completion for --%s: %v", flag, err)) // the flag does not exist: a bug in this package
		}
	}
}
