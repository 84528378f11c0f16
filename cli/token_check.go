package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/chain"
	"github.com/handfast/handfast/internal/nextstep"
	"github.com/handfast/handfast/internal/visible"
)

// tokenCheckFlags are the flags of "token check".
type tokenCheckFlags struct {
	config   string
	endpoint string
	json     bool
}

func newTokenCheck(sys *System) *cobra.Command {
	var f tokenCheckFlags
	cmd := &cobra.Command{
		Use:   "check [TOKEN|@FILE|env:NAME|-]",
		Short: "Check whether a server's configuration accepts a token",
		Long: `Checks for every endpoint of a configuration, or for one, whether it admits a client with this
token or API key. It runs the code of the server, and needs no running server. It prints the user,
where in the request the endpoint accepts the token, its expiry and its claims, or the reason for
a refusal, in more detail than a server's response. The token itself is never printed.

Without an argument, and with -, the token is read from standard input. Other users of the
machine can see an argument: use @FILE. As in the server, keys at a URL are fetched, and services
that authenticate clients are called. Tickets are not checked, since a check uses them up, nor are
revocations, which only the store of a running server knows.

The exit code is 0 when an endpoint accepts the token, 1 when none does, and 2 when the
configuration or the command line is wrong.`,
		Example: `  handfast token check --config handfast.yaml @token
  handfast token check --config handfast.yaml --endpoint /chat --json <token`,
		Args:              oneToken,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), sys, args)
		}),
	}
	cmd.Flags().StringVar(&f.config, "config", "", "the configuration: a YAML `file`; without the flag the one that HANDFAST_CONFIG names")
	cmd.Flags().StringVar(&f.endpoint, "endpoint", "", "check only this endpoint: its `name` or its path")
	cmd.Flags().BoolVar(&f.json, "json", false, "print a JSON object")
	complete(cmd, map[string][]string{"endpoint": {}})
	return cmd
}

func (f *tokenCheckFlags) run(ctx context.Context, sys *System, args []string) error {
	cfg, err := loadConfig(sys, f.config)
	if err != nil {
		_ = printProblems(sys.Stderr, err)
		return errUsageReported
	}
	token, err := readToken(sys, "handfast token check", args)
	if err != nil {
		return &usageError{err.Error(), nextstep.Of(err)}
	}
	verdicts, err := gateway.CheckToken(ctx, cfg, f.endpoint, token)
	if err != nil {
		_ = printProblems(sys.Stderr, err)
		return errUsageReported
	}
	if len(verdicts) == 0 {
		var names []string
		for _, e := range cfg.Endpoints {
			names = append(names, e.Name)
		}
		return usagef("write one of "+strings.Join(names, ", "), "the configuration has no endpoint %q", f.endpoint)
	}
	accepted := false
	for _, v := range verdicts {
		accepted = accepted || v.Accepted
	}
	if f.json {
		err = writeJSON(sys.Stdout, map[string]any{"accepted": accepted, "endpoints": verdicts})
	} else {
		for _, v := range verdicts {
			showVerdict(newPaint(sys, sys.Stdout), sys.Stdout, v, time.Now())
		}
	}
	if f.config == "" && sys.Getenv(config.EnvFile) == "" {
		fmt.Fprintln(sys.Stderr, "handfast: this is what handfast serve accepts without a file; --config names the configuration of a server")
	}
	if err == nil && !accepted {
		return errReported
	}
	return err
}

// showVerdict prints the decision of an endpoint about a token.
func showVerdict(p paint, w io.Writer, v gateway.TokenVerdict, now time.Time) {
	name := v.Path
	if strings.Trim(v.Endpoint, "/") != strings.Trim(v.Path, "/") {
		name += " (" + v.Endpoint + ")"
	}
	verdict := p.green("accepted")
	switch {
	case v.Accepted:
	case v.Status == 0:
		verdict = "accepts no token"
	default:
		verdict = p.style("31", fmt.Sprintf("refused with %d", v.Status))
	}
	fmt.Fprintf(w, "%s: %s\n", p.bold(visible.Text(name)), verdict)
	line := rows(p, w)
	row := func(name, value string) {
		if value != "" {
			line(name, visible.Text(value))
		}
	}
	row("why", v.Reason)
	row("sent as", v.SentAs)
	row("user", v.User)
	row("method", v.Method)
	row("credential", v.ID)
	if v.User != "" {
		ends := "never"
		if !v.Expires.IsZero() {
			ends = v.Expires.Local().Format(time.DateTime)
			if left := v.Expires.Sub(now); left > time.Minute {
				ends += ", in " + chain.Long(left)
			}
		}
		row("ends", ends)
	}
	if v.Rule != "" && v.Rule != v.Reason {
		row("rule", v.Rule)
	}
	if len(v.Claims) > 0 {
		if b, err := json.Marshal(v.Claims); err == nil { // this does not fail, because the claims were decoded from JSON
			row("claims", string(b))
		}
	}
}
