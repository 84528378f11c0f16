package cli

import (
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/explain"
	"github.com/handfast/handfast/internal/redact"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// credentialFlags are the values of the flags for credentials, as given: the credential itself, @FILE or env:NAME.
type credentialFlags struct {
	bearer       string
	basic        string
	cookie       string
	apiKey       string
	apiKeyHeader string
	subprotocol  string
	ticket       string
	query        []string
}

// secretFlags are the flags whose value is a secret.
var secretFlags = []string{"bearer", "basic", "cookie", "api-key", "token-subprotocol", "ticket", "query-token"}

func (c *credentialFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&c.bearer, "bearer", "", "send a `token` as Authorization: Bearer")
	flags.StringVar(&c.basic, "basic", "", "send `user:password` as Authorization: Basic")
	flags.StringVar(&c.cookie, "cookie", "", "send a `cookie`, \"name=value; name=value\", as browsers do automatically")
	flags.StringVar(&c.apiKey, "api-key", "", "send an API `key`, in the header that --api-key-header names")
	flags.StringVar(&c.apiKeyHeader, "api-key-header", "X-API-Key", "the `name` of the header for --api-key")
	flags.StringVar(&c.subprotocol, "token-subprotocol", "",
		"offer a `token` as Kubernetes accepts it; for handfast: --subprotocol handfast.token.TOKEN")
	flags.StringVar(&c.ticket, "ticket", "", "put a single-use `ticket` in the query: ticket=VALUE")
	flags.StringArrayVar(&c.query, "query-token", nil, "put a secret in the query, `name=value`; may be repeated")
}

// read converts the flags to credentials.
func (c *credentialFlags) read(sys *System) (explain.Credentials, error) {
	out := explain.Credentials{APIKeyHeader: c.apiKeyHeader, Query: url.Values{}}
	name := http.Header{c.apiKeyHeader: nil}
	if handshake.CheckFields(name) != nil || strings.EqualFold(c.apiKeyHeader, "Host") {
		return out, usagef("write the header's name, such as X-API-Key", "--api-key-header %s is not a header that can be set",
			strconv.Quote(c.apiKeyHeader))
	}
	var basic, ticket string
	for _, f := range [...]struct {
		flag, given string
		value       *string
	}{
		{"bearer", c.bearer, &out.Bearer},
		{"basic", c.basic, &basic},
		{"cookie", c.cookie, &out.Cookie},
		{"api-key", c.apiKey, &out.APIKey},
		{"token-subprotocol", c.subprotocol, &out.SubprotocolToken},
		{"ticket", c.ticket, &ticket},
	} {
		if err := readCredential(sys, "--"+f.flag, f.given, f.value); err != nil {
			return out, err
		}
		if strings.ContainsFunc(*f.value, func(r rune) bool { return r != '\t' && (r < ' ' || r == 0x7f) }) {
			return out, usagef("write it on one line", "--%s: the value contains a control character", f.flag)
		}
	}
	if basic != "" {
		user, password, ok := strings.Cut(basic, ":")
		if !ok {
			return out, usagef("write --basic user:password", "--basic takes a user and a password with a colon between them")
		}
		out.Username, out.Password = user, password
	}
	for _, q := range c.query {
		name, given, ok := strings.Cut(q, "=")
		if !ok || name == "" {
			return out, usagef("write --query-token name=value", "--query-token takes a name and a value")
		}
		var value string
		if err := readCredential(sys, "--query-token", given, &value); err != nil {
			return out, err
		}
		out.Query.Add(name, value)
	}
	if ticket != "" {
		out.Query.Add("ticket", ticket)
	}
	return out, nil
}

// maxCredential is the maximum size of a file with a secret.
const maxCredential = 64 << 10

// readCredential reads a secret that is given as the value itself, @FILE or env:NAME. Errors do not contain the secret.
func readCredential(sys *System, what, given string, into *string) error {
	name, fromEnv := strings.CutPrefix(given, "env:")
	path, fromFile := strings.CutPrefix(given, "@")
	switch {
	case given == "":
		return nil
	case fromEnv:
		if *into = sys.Getenv(name); *into == "" {
			return usagef("export the variable, or name a file: @FILE", "%s env:%s: this environment variable is not set, or is empty", what, name)
		}
		return nil
	case !fromFile:
		*into = given
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		return usagef("give the path of an existing file after the @", "%s @%s: %v", what, path, err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxCredential+1))
	if err != nil {
		return usagef("", "%s @%s: the file cannot be read", what, path)
	}
	if len(b) > maxCredential { // a part of a secret would be refused without a reason
		return usagef("give the path of a file that contains only the secret", "%s @%s: the file is larger than %d bytes", what, path, maxCredential)
	}
	if *into = strings.TrimRight(string(b), "\r\n"); *into == "" {
		return usagef("", "%s @%s: the file is empty", what, path)
	}
	return nil
}

// header sets the header fields for credentials. It is an error if two credentials use the same field.
func (c *credentialFlags) header(given explain.Credentials, header http.Header) error {
	add := func(name, value string) error {
		if value == "" {
			return nil
		}
		if header.Get(name) != "" {
			return usagef("leave one of them out", "the header %s is given twice, by -H and by the flags for credentials", http.CanonicalHeaderKey(name))
		}
		header.Set(name, value)
		return nil
	}
	var bearer, basic string
	if given.Bearer != "" {
		bearer = "Bearer " + given.Bearer
	}
	if given.Username != "" || given.Password != "" {
		basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(given.Username+":"+given.Password))
	}
	return errors.Join(add("Authorization", bearer), add("Authorization", basic), add("Cookie", given.Cookie), add(given.APIKeyHeader, given.APIKey))
}

// apply adds the credentials to the options of a handshake. It returns the URL, which includes the credentials that are sent in the URL,
// and all secrets.
func (c *credentialFlags) apply(sys *System, raw string, opts *websocket.DialOptions) (_ string, secrets []string, _ error) {
	given, err := c.read(sys)
	if err != nil {
		return "", nil, err
	}
	if err := c.header(given, opts.Header); err != nil {
		return "", nil, err
	}
	for _, values := range given.Query {
		secrets = append(secrets, values...)
	}
	secrets = append(secrets, given.Bearer, given.Password, given.Cookie, given.APIKey, given.SubprotocolToken)
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
	if given.SubprotocolToken != "" {
		token := base64.RawURLEncoding.EncodeToString([]byte(given.SubprotocolToken))
		opts.Subprotocols = append(slices.Clone(opts.Subprotocols), redact.KubernetesPrefix+token)
	}
	if len(given.Query) == 0 {
		return raw, secrets, nil
	}
	separator := "?"
	if strings.Contains(raw, "?") {
		separator = "&"
	}
	return raw + separator + given.Query.Encode(), secrets, nil
}
