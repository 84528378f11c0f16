package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
)

// defaultBalanceAdmin is the default address of a balancer's admin listener.
const defaultBalanceAdmin = "127.0.0.1:9091"

// balanceFlags are the flags of a balancer.
type balanceFlags struct {
	to        []string
	policy    policyChoice
	stickyBy  string
	check     choice
	checkPath string
	sticky    string
	rebalance bool
	hold      choice
	ca        string
	pace      pace
}

const balanceHelp = `Distributes connections and other requests over several servers. It opens a WebSocket to a
server before it answers the client, tries another server if that fails, and then forwards
bytes unchanged, or messages with --hold.

A server is ws://host:port or wss://host:port; the default scheme is ws. --policy sets how a
server is chosen. A health check runs every 5 s.

--hold keeps clients connected when their server fails or drains: resume, for protocols that
the balancer can resume; stateless, for servers that keep no state for a connection.

"handfast balance drain" empties a server: it gets no new clients, and its connections are
closed at a set pace with 1012 (service restart), so that clients reconnect to another server,
or stay connected with --hold. "add" and "remove" change the list, "undrain" ends a drain,
"status" shows the servers. They use the admin listener, which --admin names.

Further settings, such as auth, limits, several pools by path or host, or servers from the
DNS, go in a file for "handfast serve --config": handfast config doc endpoints.target.balance`

func newBalance(sys *System) *cobra.Command {
	b := &balanceFlags{
		pace:   100,
		policy: policyChoice{choice{"power_of_two", []string{"power_of_two", "least_connections", "hash", "round_robin"}}},
		check:  choice{"tcp", []string{"off", "tcp", "http", "websocket"}},
		hold:   choice{"off", []string{"off", "resume", "stateless"}},
	}
	f := &serveFlags{
		balance: b, tls: choice{"off", []string{"off", "dev", "files"}}, log: choice{"text", []string{"text", "json"}},
	}
	cmd := &cobra.Command{
		Use:   "balance",
		Short: "Run or control a load balancer for WebSockets",
		Long:  balanceHelp,
		Example: `  handfast balance --listen 127.0.0.1:9100 --to 127.0.0.1:9001 --to 127.0.0.1:9002
  handfast balance --listen :443 --tls files --cert fullchain.pem --key privkey.pem --to 10.0.0.1:9000 --to 10.0.0.2:9000
  handfast balance --to 127.0.0.1:9001 --to 127.0.0.1:9002 --policy hash --by query:room
  handfast balance drain 127.0.0.1:9001 --wait
  handfast balance status`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if _, err := checkServer("--to", args[0]); err == nil && strings.Contains(args[0], ":") {
				return usagef("name the servers with --to: handfast balance --to "+shellQuote(args[0]), "handfast balance takes no server as its argument")
			}
			return group(cmd, args)
		},
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags().Changed
			f.given = func(flag string) bool { return flag == "admin" || flag == "listen" || flag == "tls" || given(flag) }
			return serve(cmd.Context(), sys, f)
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&b.to, "to", nil, "a server, ws://`host:port` or wss://host:port; may be repeated")
	flags.StringArrayVar(&f.listen, "listen", []string{"127.0.0.1:9100"}, "`host:port`; may be repeated")
	flags.Var(&f.tls, "tls", "no TLS, or the source of the certificate: the development CA, or two files")
	f.defineHosts(cmd)
	flags.StringVar(&f.cert, "cert", "", "for --tls files: the certificate and its chain, a PEM `file`")
	flags.StringVar(&f.key, "key", "", "for --tls files: the private key of --cert, a PEM `file`")
	flags.StringArrayVar(&f.origins, "origin", nil, "a web `origin` whose pages may connect too, such as https://example.com; may be repeated")
	flags.StringVar(&f.admin, "admin", defaultBalanceAdmin, "`host:port` of the admin listener, or off")
	flags.Var(&b.policy, "policy", "the policy: "+strings.Join(b.policy.allowed, ", "))
	flags.StringVar(&b.stickyBy, "by", "path", "the `key` of --policy hash, such as path, address or query:room")
	flags.Var(&b.check, "check", "how the health of servers is checked")
	flags.StringVar(&b.checkPath, "check-path", "/", "the `path` that --check http and websocket request")
	flags.StringVar(&b.sticky, "sticky", "", "use this `cookie` to return clients to their server")
	flags.BoolVar(&b.rebalance, "rebalance", false, "move connections to a new server until all have their share")
	flags.Var(&b.hold, "hold", "which clients stay connected when their server fails or drains")
	flags.StringVar(&b.ca, "cacert", "", "the certificate authority for wss servers, a PEM `file`")
	flags.Var(&b.pace, "pace", "how many connections leave a draining server per second")
	flags.Var(&f.log, "log", "the form of the log on standard error")
	complete(cmd, map[string][]string{
		"to": {"127.0.0.1:9001"}, "listen": {"127.0.0.1:9100", ":443"}, "tls": f.tls.allowed, "log": f.log.allowed, "origin": {},
		"admin": {defaultBalanceAdmin, "off"}, "policy": b.policy.allowed, "check": b.check.allowed, "check-path": {"/", "/readyz"},
		"by": {"path", "identity", "address", "query:room"}, "sticky": {"handfast_server"}, "hold": b.hold.allowed, "pace": {"100/s"},
	})
	cmd.AddCommand(newServers(sys)...)
	return cmd
}

// checkServer checks the URL of a server, and returns the balancer's ID for it.
func checkServer(flag, text string) (string, error) {
	var u config.BackendURL
	err := u.UnmarshalText([]byte(text))
	if err == nil && u == "" {
		err = errors.New("it is empty")
	}
	return string(u), badValue("write host:port, such as 127.0.0.1:9001, or wss://host:port", flag, text, err)
}

// policyChoice is a choice whose values are too long for the first column of the help.
type policyChoice struct{ choice }

func (*policyChoice) Type() string { return "policy" }

// pace is a flag value: connections per second.
type pace float64

// String returns the form that Set parses, or "" for 0.
func (p *pace) String() string {
	if *p == 0 {
		return ""
	}
	return p.number() + "/s"
}

func (p *pace) number() string { return strconv.FormatFloat(float64(*p), 'g', -1, 64) }
func (p *pace) Type() string   { return "N/s" }

// Set parses 20/s, or 20.
func (p *pace) Set(s string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
	if err != nil || !(n >= 0.1 && n <= 100000) {
		return errors.New("write a number of connections per second, 0.1/s to 100000/s")
	}
	*p = pace(n)
	return nil
}

// checkFlags checks that the flags are valid and can be combined.
func (b *balanceFlags) checkFlags(given func(flag string) bool) error {
	if len(b.to) == 0 {
		return usagef("name the servers, such as --to 127.0.0.1:9001 --to 127.0.0.1:9002", "--to is missing")
	}
	for _, to := range b.to {
		if _, err := checkServer("--to", to); err != nil {
			return err
		}
	}
	var by config.AffinityKey
	if err := badValue("write path, identity, address, query:NAME, header:NAME or cookie:NAME", "--by", b.stickyBy, by.UnmarshalText([]byte(b.stickyBy))); err != nil {
		return err
	}
	switch on := strings.ToLower(b.sticky); {
	case on == "true" || on == "yes" || on == "on":
		return usagef("name the cookie, such as --sticky handfast_server", "--sticky %q is not the name of a cookie", b.sticky)
	case given("by") && b.policy.value != "hash":
		return usagef("add --policy hash", "--by cannot be used with --policy %s", b.policy.value)
	case given("check-path") && b.check.value != "http" && b.check.value != "websocket":
		return usagef("add --check http, or --check websocket", "--check-path cannot be used with --check %s", b.check.value)
	case !strings.HasPrefix(b.checkPath, "/"):
		return usagef("write a path, such as /readyz", "--check-path %q does not begin with a slash", b.checkPath)
	}
	return nil
}

// settings calls set with the endpoint that the flags describe, and with the flag for each setting.
func (b *balanceFlags) settings(set func(flag, path string, value any) error) error {
	errs := []error{set("to", "endpoints", []map[string]any{{
		"name": "balance", "path": "/", "auth": []string{config.Anonymous}, "target": map[string]any{"balance": map[string]any{"to": b.to}},
	}})}
	for i, to := range b.to { // each URL is set separately, so that messages name the invalid one
		errs = append(errs, set("to", fmt.Sprintf("endpoints[0].target.balance.to[%d].url", i), to))
	}
	also := func(flag, key string, value any) {
		errs = append(errs, set(flag, "endpoints[0].target.balance."+key, value))
	}
	also("policy", "policy", b.policy.value)
	also("check", "health", map[string]string{"check": b.check.value, "path": b.checkPath})
	also("pace", "drain", float64(b.pace))
	also("rebalance", "rebalance", b.rebalance)
	also("hold", "hold", b.hold.value)
	if b.policy.value == "hash" {
		also("by", "key", b.stickyBy)
	}
	if b.sticky != "" {
		also("sticky", "sticky", b.sticky)
	}
	if b.ca != "" {
		also("cacert", "tls.ca", b.ca)
	}
	return errors.Join(errs...)
}
