package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/config"
	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
)

// defaultAdmin is the admin address that the documents use; serve has no admin listener by default.
const defaultAdmin = "127.0.0.1:9090"

func newReload(sys *System) *cobra.Command {
	var admin string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Reload the configuration of a running server, and print the changes",
		Long: `Asks the admin listener of a running "handfast serve" or "handfast balance" to read its
configuration again, with all files that it names, as on SIGHUP, and waits for the result.
Connections of endpoints that still exist continue. The server does the same when a file has
changed; if the server has already reloaded, the command prints the changes of that reload.

The exit code is 0 when the configuration that the server read is in force, and 1 when it is
not. If the configuration contains a mistake, the server changes nothing, and the mistake is
printed with file, line and column.
A server that requires a token gets the one in HANDFAST_ADMIN_TOKEN.`,
		Example: `  handfast reload
  handfast reload --admin 127.0.0.1:9091        a balancer
  handfast reload --json`,
		Args: noArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			return reload(cmd.Context(), sys, admin, asJSON)
		}),
	}
	cmd.Flags().StringVar(&admin, "admin", defaultAdmin, "`host:port` of the server's admin listener")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the server's answer, a JSON object")
	complete(cmd, map[string][]string{"admin": {defaultAdmin, defaultBalanceAdmin}})
	return cmd
}

// reloadWait is how long to wait for the response. The server gives up earlier, and responds.
const reloadWait = 40 * time.Second

// reload requests a reload, and prints the response.
func reload(ctx context.Context, sys *System, admin string, asJSON bool) error {
	listener, err := newAdminListener(sys, admin, "server")
	if err != nil {
		return err
	}
	status, text, err := listener.do(ctx, reloadWait, http.MethodPost, "/reload")
	if err != nil {
		return err
	}
	var got gateway.Reloaded
	if status != http.StatusOK && status != http.StatusUnprocessableEntity || json.Unmarshal(text, &got) != nil || got.Changes == nil {
		return cmp.Or(listener.checkAdmin(ctx, "POST /reload", status), fmt.Errorf("%s answered with status %d: %s", listener.addr, status, firstLine(text)))
	}
	failed := status != http.StatusOK
	if asJSON {
		if err := writeJSON(sys.Stdout, got); err != nil {
			return err
		}
		if failed {
			return errReported
		}
		return nil
	}
	if failed {
		fmt.Fprintln(sys.Stderr, "handfast: not reloaded: the old configuration stays in force")
		if len(got.Problems) > 0 {
			return printProblems(sys.Stderr, &config.Error{Problems: got.Problems})
		}
		return &hinted{errors.New(got.Error), got.Hint}
	}
	for _, c := range got.Changes {
		fmt.Fprintln(sys.Stdout, visible.Text(c.String()))
	}
	for _, key := range got.NextStart {
		fmt.Fprintf(sys.Stdout, "%s: the change takes effect after the next start\n", visible.Text(key))
	}
	since := got.Since.Local().Format(time.DateTime)
	switch {
	case got.Changed:
		fmt.Fprintf(sys.Stdout, "reloaded: %s\n", countNoun(len(got.Changes), "change"))
	case len(got.Changes) > 0:
		fmt.Fprintf(sys.Stdout, "unchanged: the server already reloaded the configuration at %s: %s\n", since, countNoun(len(got.Changes), "change"))
	default:
		fmt.Fprintf(sys.Stdout, "unchanged: the server still has the configuration of its start, at %s\n", since)
	}
	return nil
}
