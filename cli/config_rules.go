package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
)

// ruleFlags are the flags that describe the request on which the rules decide.
type ruleFlags struct {
	identity string
	claims   string
	ask      config.Case
	do       choice
	expect   choice
	cases    string
	json     bool
}

func newConfigTest(sys *System) *cobra.Command {
	f := ruleFlags{do: choice{"connect", []string{"connect", "subscribe", "publish"}}, expect: choice{"", []string{"allow", "deny"}}}
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Test what the rules of a configuration allow",
		Long: `Evaluates the rules of an endpoint for an identity and an action, and prints the
decision and the rule that made it. No server runs, and no credential is checked.

Without --user and --identity, the client has no credential.

With --cases it runs all cases of a file, and the exit code is 1 when a decision differs
from the expected one, so that rules can be tested before they are deployed.

  - {user: alice, claims: {roles: [admin]}, expect: allow}
  - name: guests only read
    endpoint: chat
    do: publish
    channel: news
    expect: deny

The keys are name, endpoint, user, method, claims, do, channel and expect.`,
		Example: `  handfast config test handfast.yaml --user alice --claims '{"roles": ["admin"]}'
  handfast config test handfast.yaml --endpoint chat -u bob --do publish --channel news --expect deny
  handfast config test handfast.yaml --cases rules.yaml`,
		ValidArgsFunction: yamlFiles,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("handfast config test handfast.yaml", "config test needs one configuration, not %d", len(args))
			}
			if err := fileOrNone(cmd, args); err != nil {
				return err
			}
			return f.run(sys, cmd, args[0])
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.ask.Endpoint, "endpoint", "", "the endpoint's `name`; not required if there is only one")
	flags.StringVarP(&f.ask.User, "user", "u", "", "the user: the subject of the identity")
	flags.StringVar(&f.ask.Method, "method", "", "the method that authenticated the user, such as jwt")
	flags.StringVar(&f.claims, "claims", "", "other claims of the credential, as a `JSON` object")
	flags.StringVar(&f.identity, "identity", "", "the user, the method and the claims as one `JSON` object: subject, method, claims")
	flags.Var(&f.do, "do", "the action to test")
	flags.StringVar(&f.ask.Channel, "channel", "", "the `name` of the channel")
	flags.Var(&f.expect, "expect", "the expected decision; exit with 1 if it differs")
	flags.StringVar(&f.cases, "cases", "", "a YAML `file` with cases")
	flags.BoolVar(&f.json, "json", false, "print a JSON object; with --cases, one per line")
	complete(cmd, map[string][]string{
		"do": f.do.allowed, "expect": f.expect.allowed, "claims": {}, "identity": {}, "channel": {}, "user": {},
		"method": {"jwt", "apikey", "basic", "ticket", "certificate", "forward", "signin"},
	})
	err := cmd.RegisterFlagCompletionFunc("endpoint", func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return endpointNames(sys, args), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag does not exist: a bug in this function
	}
	return cmd
}

// endpointNames returns the names of the endpoints in a configuration, for completion. It returns none if the configuration cannot be read.
func endpointNames(sys *System, args []string) []string {
	c, err := loadConfig(sys, first(args))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range c.Endpoints {
		names = append(names, e.Name)
	}
	return names
}

func (f *ruleFlags) run(sys *System, cmd *cobra.Command, file string) error {
	if f.cases != "" {
		for _, other := range []string{"endpoint", "user", "method", "claims", "identity", "do", "channel", "expect"} {
			if cmd.Flags().Changed(other) {
				return usagef("write the value into the file of --cases", "--cases and --%s cannot be used together", other)
			}
		}
	}
	if err := f.readIdentity(); err != nil {
		return err
	}
	c, err := loadConfig(sys, file)
	if err != nil {
		return loadError(file, err, printProblems(sys.Stderr, err))
	}
	if f.cases != "" {
		return f.runCases(sys, c)
	}
	f.ask.Do, f.ask.Expect = f.do.value, f.expect.value
	v, err := decide(c, f.ask)
	if err != nil {
		return err
	}
	if f.json {
		err = json.NewEncoder(sys.Stdout).Encode(v)
	} else {
		v.print(sys.Stdout)
	}
	if err == nil && !v.OK {
		err = errReported
	}
	return err
}

// readIdentity parses the JSON of --identity.
func (f *ruleFlags) readIdentity() error {
	if f.claims != "" {
		if err := json.Unmarshal([]byte(f.claims), &f.ask.Claims); err != nil {
			why := err.Error()
			if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
				why = "it is a " + strings.NewReplacer("array", "list", "bool", "boolean").Replace(kind.Value)
			}
			return usagef(`write it as '{"roles": ["admin"]}'`, "--claims is not a JSON object: %s", why)
		}
	}
	if f.identity == "" {
		if f.ask.User == "" && (f.claims != "" || f.ask.Method != "") {
			return usagef("add --user NAME", "--claims and --method require a user")
		}
		return nil
	}
	if f.ask.User != "" || f.ask.Method != "" || f.claims != "" {
		return usagef("write the values into the object of --identity", "--identity cannot be used with --user, --method or --claims")
	}
	var id struct {
		Subject string         `json:"subject"`
		Method  string         `json:"method"`
		Claims  map[string]any `json:"claims"`
	}
	dec := json.NewDecoder(strings.NewReader(f.identity))
	dec.DisallowUnknownFields()
	err := dec.Decode(&id)
	if _, more := dec.Token(); err != nil || !errors.Is(more, io.EOF) || id.Subject == "" {
		return usagef(`write it as '{"subject": "alice", "method": "jwt", "claims": {"roles": ["admin"]}}'`,
			"--identity is not a JSON object with a subject")
	}
	f.ask.User, f.ask.Method, f.ask.Claims = id.Subject, id.Method, id.Claims
	return nil
}

// verdict is the decision of the rules on one case.
type verdict struct {
	Name     string `json:"name,omitempty"`
	Endpoint string `json:"endpoint"`
	Decision string `json:"decision"`
	Rule     string `json:"rule,omitempty"` // the path of the rule; "" if no rule decided
	At       string `json:"at,omitempty"`   // the position of the rule
	Reason   string `json:"reason"`
	Expected string `json:"expected,omitempty"`
	OK       bool   `json:"ok"` // true if the decision is the expected one, or no decision was expected
}

// decide returns the decision of the rules.
func decide(c *config.Config, ask config.Case) (verdict, error) {
	i, err := findEndpoint(c, ask.Endpoint)
	if err != nil {
		return verdict{}, err
	}
	rules, err := gateway.Rules(c, i)
	if err != nil {
		return verdict{}, err
	}
	v := verdict{Name: ask.Name, Endpoint: c.Endpoints[i].Name, Expected: ask.Expect}
	id, why := identityOf(&c.Endpoints[i], ask)
	d := auth.Decision{Rule: -1, Reason: why}
	if id != nil {
		d = rules.Decide(id, auth.Action{Do: ask.Do, Endpoint: v.Endpoint, Channel: ask.Channel})
	}
	v.Decision, v.Reason = auth.Effect(d.Allowed).String(), d.Reason
	if d.Rule >= 0 {
		v.Rule = fmt.Sprintf("endpoints[%d].rules[%d]", i, d.Rule)
		v.At = c.Pos(v.Rule).String()
	}
	v.OK = v.Expected == "" || v.Expected == v.Decision
	return v, nil
}

// findEndpoint returns the index of an endpoint. An empty name means the only endpoint.
func findEndpoint(c *config.Config, name string) (int, error) {
	var names []string
	for i, e := range c.Endpoints {
		if e.Name == name || name == "" && len(c.Endpoints) == 1 {
			return i, nil
		}
		names = append(names, e.Name)
	}
	if name == "" {
		return 0, &hinted{errors.New("there are several endpoints"), "name one with --endpoint: " + strings.Join(names, ", ")}
	}
	return 0, &hinted{fmt.Errorf("there is no endpoint %q", name), "name one of " + strings.Join(names, ", ")}
}

// identityOf returns the identity of a case. If the case has no credential and the endpoint does not admit anonymous clients, id is nil and
// why is the reason.
func identityOf(e *config.Endpoint, ask config.Case) (id *auth.Identity, why string) {
	if ask.User != "" {
		return &auth.Identity{Subject: ask.User, Method: ask.Method, Claims: ask.Claims}, ""
	}
	if slices.ContainsFunc(e.Auth, func(r config.AuthRef) bool { return r.Name == config.Anonymous }) {
		return &auth.Identity{Subject: config.Anonymous, Method: config.Anonymous}, ""
	}
	return nil, "the endpoint does not admit clients without a credential"
}

// print prints a verdict as text.
func (v verdict) print(w io.Writer) {
	fmt.Fprintln(w, v.Decision)
	fmt.Fprintln(w, "  because   "+visible.Text(strings.Join(strings.Fields(v.Reason), " ")))
	if v.Rule != "" {
		fmt.Fprintln(w, "  at        "+visible.Text(v.At+" "+v.Rule))
	}
	if !v.OK {
		fmt.Fprintln(w, "  expected  "+v.Expected)
	}
}

// runCases evaluates all cases in a file.
func (f *ruleFlags) runCases(sys *System, c *config.Config) error {
	document, err := readNamed("--cases", f.cases)
	if err != nil {
		return err
	}
	cases, err := config.ParseCases(f.cases, document)
	if err != nil {
		for _, p := range problemsOf(err) {
			p.Hint = cmp.Or(p.Hint, "handfast config test --help shows the format of the file")
		}
		return printProblems(sys.Stderr, err)
	}
	p := newPaint(sys, sys.Stdout)
	wrong := 0
	for _, ask := range cases {
		if ask.User == "" && (len(ask.Claims) > 0 || ask.Method != "") {
			return &hinted{fmt.Errorf("%s: claims and method require a user", ask.Pos), "add the key user"}
		}
		v, err := decide(c, ask)
		if err != nil {
			return fmt.Errorf("%s: %w", ask.Pos, err)
		}
		if !v.OK {
			wrong++
		}
		switch {
		case f.json:
			if err := json.NewEncoder(sys.Stdout).Encode(v); err != nil {
				return err
			}
		case v.OK:
			fmt.Fprintf(sys.Stdout, "%s    %s: %s\n", p.green("ok"), visible.Text(caseName(ask)), v.Decision)
		default:
			fmt.Fprintf(sys.Stdout, "%s %s: %s: %s, expected %s: %s\n", p.bold("WRONG"), ask.Pos, visible.Text(caseName(ask)),
				v.Decision, v.Expected, visible.Text(strings.Join(strings.Fields(v.Reason+" "+v.At), " ")))
		}
	}
	if wrong > 0 {
		if !f.json {
			fmt.Fprintf(sys.Stdout, "%d of %s wrong\n", wrong, countNoun(len(cases), "case"))
		}
		return errReported
	}
	return nil
}

// caseName describes a case.
func caseName(c config.Case) string {
	if c.Name != "" {
		return c.Name
	}
	user := c.User
	if user == "" {
		user = config.Anonymous
	}
	return strings.TrimSpace(user + " " + c.Do + " " + c.Channel)
}
