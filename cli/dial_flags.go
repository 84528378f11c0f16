package cli

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// dialFlags are the flags for a connection. Other commands have some of these flags.
type dialFlags struct {
	headers      []string
	subprotocols []string
	origin       string
	credentials  credentialFlags
	insecure     bool
	cacert       string
	cert         string
	key          string
	keyFlag      string // the name of the flag for key
	proxy        string
	timeout      time.Duration
	ping         time.Duration
	binary       bool
	json         bool
	http         choice
	compress     bool
	talk         talkFlags
}

// talkFlags are the flags that only dial has.
type talkFlags struct {
	jsonl     bool
	null      bool
	verbose   bool
	wait      time.Duration
	reconnect bool
}

// defineTLS adds the flags for the trusted authorities and the client certificate. key is the name of the flag for the private key.
func (f *dialFlags) defineTLS(flags *pflag.FlagSet, key string) {
	f.keyFlag = key
	flags.BoolVar(&f.insecure, "insecure", false, "accept any certificate; an attacker on the path can then read and change everything")
	flags.StringVar(&f.cacert, "cacert", "", "trust only the CAs in this PEM `file`")
	flags.StringVar(&f.cert, "cert", "", "present this client certificate, a PEM `file`")
	flags.StringVar(&f.key, key, "", "the private key of --cert, a PEM `file`; may be in the same file")
}

// defineProxy adds the flag for a proxy to a command. useProxy implements it.
func (f *dialFlags) defineProxy(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.proxy, "proxy", "", "go through this proxy: a `URL` (http, https, socks5), @FILE, env:NAME, or \"none\"")
	complete(cmd, map[string][]string{"proxy": {"none", "http://", "socks5://"}})
}

// define adds the flags of dial to a command.
func (f *dialFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "add a `header` to the request, \"Name: value\"; may be repeated")
	flags.StringSliceVar(&f.subprotocols, "subprotocol", nil, "offer a subprotocol by `name`; may be repeated, the preferred one first")
	flags.StringVar(&f.origin, "origin", "", "send this Origin, as a browser does for a page of https://example.com")
	f.credentials.define(cmd)
	f.defineTLS(flags, "key")
	f.defineProxy(cmd)
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "the time limit for opening the connection")
	flags.BoolVar(&f.binary, "binary", false, "send and print raw bytes, as binary messages")
	flags.BoolVar(&f.json, "json", false, `print messages as {"type":"text","data":"…"}; the data of binary ones in base64`)
	flags.BoolVar(&f.talk.jsonl, "jsonl", false, "like --json, but also read the input in that form; text and binary messages may be mixed")
	flags.BoolVarP(&f.talk.null, "null", "0", false, "end messages with a NUL instead of a newline, in input and output")
	flags.BoolVarP(&f.talk.verbose, "verbose", "v", false, "print the requests and responses of the handshake, secrets redacted, on standard error")
	flags.Var(&f.http, "http", "the HTTP version of the handshake; 2 and 3 are not available yet")
	flags.BoolVar(&f.compress, "compress", false, "offer compression (permessage-deflate); the server may decline")
	flags.DurationVar(&f.ping, "ping", 25*time.Second, "ping a silent server this often, fail after two missed pongs; 0 means never")
	flags.DurationVar(&f.talk.wait, "wait", 0, "read for this long after the end of the input; 0 means until the server is quiet")
	flags.BoolVar(&f.talk.reconnect, "reconnect", false, "reconnect when the connection is lost, after a delay that grows to 30s")
	values := map[string][]string{
		"http": f.http.allowed, "ping": {"10s", "25s", "0"}, "wait": {"1s", "10s", "1m"}, "timeout": {"5s", "30s"},
		"header": {}, "subprotocol": {}, "origin": {},
	}
	for _, name := range secretFlags {
		values[name] = []string{"env:"}
	}
	complete(cmd, values)
}

// check checks the flags that only dial has.
func (f *dialFlags) check() error {
	for _, pair := range [...]struct {
		a, b   string
		sa, sb bool
	}{
		{"--binary", "--json", f.binary, f.json}, {"--binary", "--jsonl", f.binary, f.talk.jsonl},
		{"--json", "--jsonl", f.json, f.talk.jsonl}, {"--null", "--binary", f.talk.null, f.binary},
		{"--null", "--json", f.talk.null, f.json}, {"--null", "--jsonl", f.talk.null, f.talk.jsonl},
		{"--reconnect", "--binary", f.talk.reconnect, f.binary},
	} {
		if pair.sa && pair.sb {
			return usagef("leave one of them out", "%s and %s cannot be used together", pair.a, pair.b)
		}
	}
	switch {
	case f.talk.wait < 0:
		return usagef("write a duration such as 30s, or 0", "--ping and --wait must not be negative")
	case f.timeout <= 0:
		return usagef("write a duration such as 30s", "--timeout must be positive")
	}
	return nil
}

// options checks the flags and converts them for the library.
func (f *dialFlags) options(sys *System) (*websocket.DialOptions, error) {
	switch {
	case f.http.value != "1.1":
		return nil, usagef("leave --http out", "--http %s: WebSocket over HTTP/%s is not available yet", f.http.value, f.http.value)
	case f.ping < 0:
		return nil, usagef("write a duration such as 30s, or 0", "--ping and --wait must not be negative")
	case f.binary && terminal(sys.Stdout) != nil:
		return nil, usagef("redirect the output to a file or a pipe: --binary >FILE", "--binary would write raw bytes to the terminal")
	case f.insecure && f.cacert != "":
		return nil, usagef("leave one of them out", "--insecure does not check certificates, so --cacert has no effect")
	case f.key != "" && f.cert == "":
		return nil, usagef("add --cert FILE", "--key requires the certificate of the key")
	}
	header, err := parseHeaders(f.headers)
	if err != nil {
		return nil, err
	}
	if err := handshake.CheckSubprotocols(f.subprotocols); err != nil {
		return nil, usagef("write --subprotocol once for each name, without spaces", "--subprotocol: %v", err)
	}
	if f.origin != "" {
		if _, ok := handshake.ParseOrigin(f.origin); !ok {
			return nil, usagef("write scheme and host, and the port if it is not the default: https://example.com",
				"--origin %s is not a web origin", strconv.Quote(f.origin))
		}
		header.Set("Origin", f.origin)
	}
	tls, err := f.tlsConfig(sys)
	if err != nil {
		return nil, err
	}
	opts := &websocket.DialOptions{
		Header:       header,
		Subprotocols: f.subprotocols,
		TLS:          tls,
		Conn:         websocket.ConnOptions{MaxMessage: maxLine, PingInterval: f.ping},
	}
	if f.ping == 0 {
		opts.Conn.PingInterval = -1 // no pings
	}
	if f.binary {
		opts.Conn.MaxMessage = -1 // no limit, because messages are streamed
	}
	if f.compress {
		opts.Conn.Compression = &websocket.Compression{}
	}
	return opts, nil
}

// parseHeaders parses "Name: value" headers. A value may be a secret, so errors do not contain it.
func parseHeaders(lines []string) (http.Header, error) {
	header := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		switch {
		case !strings.Contains(line, ":") || handshake.CheckFields(http.Header{name: nil}) != nil && !handshake.Reserved(name):
			return nil, usagef(`write -H "Name: value"`, "-H takes the name of a header, a colon and a value")
		case strings.EqualFold(name, "Sec-WebSocket-Protocol"):
			return nil, usagef("write --subprotocol NAME", "-H: the header %s belongs to the handshake", name)
		case handshake.Reserved(name):
			return nil, usagef("omit the header: handfast sets it", "-H: the header %s belongs to the handshake", name)
		case strings.EqualFold(name, "Host") && !handshake.ValidHost(value):
			return nil, usagef(`write -H "Host: example.com", with a port if there is one`, "-H: the value of Host is not a single host")
		case handshake.CheckFields(http.Header{name: {value}}) != nil:
			return nil, usagef("write the value on one line", "-H: the value of header %s contains a control character", name)
		}
		header.Add(name, value)
	}
	return header, nil
}
