package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
)

// balancerState is the state of a running balancer.
type balancerState struct{ gateway.Balance }

// serversFlags are the flags of the commands for a running balancer.
type serversFlags struct {
	admin    string
	endpoint string
	json     bool
	wait     bool
	pace     pace // 0 means the pace in the configuration
	weight   int
	capacity int
}

func (f *serversFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.admin, "admin", defaultBalanceAdmin, "`host:port` of the balancer's admin listener")
	flags.StringVar(&f.endpoint, "endpoint", "", "the `name` of one endpoint; by default all endpoints that have the server")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	complete(cmd, map[string][]string{"admin": {defaultBalanceAdmin}, "endpoint": {}})
}

// newServer returns a command that calls do for one server of a running balancer. flags adds flags to the command, and may be nil.
func newServer(use, short, long, example string, flags func(*cobra.Command, *serversFlags), do func(context.Context, *serversFlags, string) error) *cobra.Command {
	var f serversFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one server, such as 127.0.0.1:9001", "%s takes one server", cmd.Name())
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			id, err := checkServer("SERVER", args[0])
			if err != nil {
				return err
			}
			return do(cmd.Context(), &f, id)
		}),
	}
	f.register(cmd)
	if flags != nil {
		flags(cmd, &f)
	}
	return cmd
}

// newServers returns the commands for a running balancer.
func newServers(sys *System) []*cobra.Command {
	ask := func(method, path string, more func(*serversFlags, url.Values) error) func(context.Context, *serversFlags, string) error {
		return func(ctx context.Context, f *serversFlags, id string) error {
			q := url.Values{"server": {id}}
			if more != nil {
				if err := more(f, q); err != nil {
					return err
				}
			}
			b, err := f.request(ctx, sys, method, path, q)
			if err != nil {
				return err
			}
			return f.show(sys.Stdout, b)
		}
	}
	drain := newServer("drain SERVER", "Empty a server: no new clients, and its clients reconnect elsewhere",
		`Stops sending new clients to a server, and closes its connections at a set pace with 1012,
service restart. With --wait it exits 0 when no connection is left; a client that does not
answer the close frame is disconnected after 5 s. Interrupting the command does not end the
drain: undrain does.`,
		"  handfast balance drain 127.0.0.1:9001 --wait\n  handfast balance drain 127.0.0.1:9001 --pace 20/s",
		func(cmd *cobra.Command, f *serversFlags) {
			cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until no connection is left")
			cmd.Flags().Var(&f.pace, "pace", "how many connections leave the server per second; by default the balancer's setting")
			complete(cmd, map[string][]string{"pace": {"20/s", "100/s"}})
		}, func(ctx context.Context, f *serversFlags, id string) error { return f.drain(ctx, sys, id) })
	undrain := newServer("undrain SERVER", "Send new clients to a server again", "Ends a drain: the server gets new clients again, at first fewer than its share.",
		"  handfast balance undrain 127.0.0.1:9001", nil, ask(http.MethodDelete, "/balance/drain", nil))
	add := newServer("add SERVER", "Add a server to a running balancer", "Adds a server until the balancer exits or the server is removed. No connection moves unless the balancer rebalances.",
		"  handfast balance add 127.0.0.1:9003\n  handfast balance add 127.0.0.1:9003 --weight 2 --capacity 1000",
		func(cmd *cobra.Command, f *serversFlags) {
			cmd.Flags().IntVar(&f.weight, "weight", 1, "the server's share of connections, relative to other servers; a `number` from 1 to 1000")
			cmd.Flags().IntVar(&f.capacity, "capacity", 0, "the maximum `number` of connections; 0 means no limit")
			complete(cmd, map[string][]string{"weight": {}, "capacity": {}})
		}, ask(http.MethodPost, "/balance/servers", func(f *serversFlags, q url.Values) error {
			switch {
			case f.weight < 1:
				return usagef("write a number from 1 to 1000", "--weight %d is too small", f.weight)
			case f.weight > 1000:
				return usagef("write a number from 1 to 1000", "--weight %d is too large", f.weight)
			case f.capacity < 0:
				return usagef("write 0 or a positive number; 0 means no limit", "--capacity %d is too small", f.capacity)
			}
			q.Set("weight", strconv.Itoa(f.weight))
			if f.capacity > 0 {
				q.Set("capacity", strconv.Itoa(f.capacity))
			}
			return nil
		}))
	remove := newServer("remove SERVER", "Remove a server that was added", "Removes a server that was added with add. Its connections stay open: drain it first to move them elsewhere.",
		"  handfast balance remove 127.0.0.1:9003", nil, ask(http.MethodDelete, "/balance/servers", nil))
	return []*cobra.Command{graceful(drain), undrain, add, remove, newBalanceStatus(sys), graceful(newBalanceTop(sys))}
}

func newBalanceStatus(sys *System) *cobra.Command {
	var f serversFlags
	cmd := &cobra.Command{
		Use: "status", Short: "Show the servers of a running balancer",
		Long:    "Shows the servers of a running balancer: their state, connections and share.",
		Example: "  handfast balance status\n  handfast balance status --json",
		Args:    noArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			b, err := f.request(cmd.Context(), sys, http.MethodGet, "/balance", url.Values{})
			if err != nil {
				return err
			}
			return f.show(sys.Stdout, b)
		}),
	}
	f.register(cmd)
	return cmd
}

// request makes a request to the admin listener.
func (f *serversFlags) request(ctx context.Context, sys *System, method, path string, q url.Values) (*balancerState, error) {
	admin, err := newAdminListener(sys, f.admin, "balancer")
	if err != nil {
		return nil, err
	}
	if f.endpoint != "" {
		q.Set("endpoint", f.endpoint)
	}
	status, text, err := admin.do(ctx, adminTimeout, method, path+"?"+q.Encode())
	if err != nil {
		return nil, err
	}
	b, failed := f.parseResponse(admin, status, text)
	if failed != nil {
		return nil, cmp.Or(admin.checkAdmin(ctx, method+" "+path, status), failed)
	}
	return b, nil
}

// parseResponse parses the response of an admin listener to a request about servers.
func (f *serversFlags) parseResponse(admin *adminListener, status int, text []byte) (*balancerState, error) {
	line := firstLine(text)
	switch status {
	case http.StatusOK:
	case http.StatusBadRequest: // the second line may be the next step
		_, step, _ := strings.Cut(string(text), "\nnext step: ")
		step, _, _ = strings.Cut(step, "\n")
		return nil, &hinted{fmt.Errorf("the balancer rejected the request: %s", line), step}
	case http.StatusNotFound:
		return nil, &hinted{fmt.Errorf("%s answered: %s", admin.addr, line), "handfast balance status lists the servers; --admin names the balancer's admin listener, --endpoint one of its endpoints"}
	default:
		return nil, fmt.Errorf("%s answered with status %d: %s", admin.addr, status, line)
	}
	b := &balancerState{}
	if err := json.Unmarshal(text, b); err != nil || b.Endpoints == nil {
		return nil, fmt.Errorf("the response of %s is not from a balancer", admin.addr)
	}
	switch {
	case len(b.Endpoints) > 0:
	case f.endpoint != "":
		return nil, &hinted{fmt.Errorf("there is no endpoint %q with a balancer", f.endpoint), "without --endpoint, handfast balance status lists all endpoints with a balancer"}
	default:
		return nil, &hinted{fmt.Errorf("the server with the admin listener at %s has no balancer", admin.addr),
			"give the address of a balancer's admin listener with --admin: " + admin.where}
	}
	return b, nil
}

// show prints the servers.
func (f *serversFlags) show(w io.Writer, b *balancerState) error {
	if f.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(b)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, b.endpointHeading()+"SERVER\tSTATE\tCONNECTIONS\tWEIGHT\tREASON")
	for i, e := range b.Endpoints {
		for _, s := range e.Servers {
			fmt.Fprintf(t, "%s%s\t%s\t%d\t%d\t%s\n", b.endpointColumn(i), visible.Text(s.ID), s.State, s.Live, s.Weight, visible.Text(s.Why))
		}
		if len(e.Servers) == 0 {
			fmt.Fprintf(t, "%s-\tno server\t0\t-\tthe list is empty\n", b.endpointColumn(i))
		}
	}
	return t.Flush()
}

// endpointHeading returns the heading of the column for endpoints, or "" if there is only one endpoint.
func (b *balancerState) endpointHeading() string {
	if len(b.Endpoints) < 2 {
		return ""
	}
	return "ENDPOINT\t"
}

// endpointColumn returns the name of an endpoint for its column, or "" if there is only one endpoint.
func (b *balancerState) endpointColumn(endpoint int) string {
	if len(b.Endpoints) < 2 {
		return ""
	}
	return visible.Text(b.Endpoints[endpoint].Endpoint) + "\t"
}

// drain drains a server.
func (f *serversFlags) drain(ctx context.Context, sys *System, id string) error {
	ctx, stop := untilSignal(ctx, sys)
	defer stop()
	q := url.Values{"server": {id}}
	if f.pace > 0 {
		q.Set("pace", f.pace.number())
	}
	b, err := f.request(ctx, sys, http.MethodPost, "/balance/drain", q)
	if err != nil {
		return err
	}
	if b.leavesEndpointEmpty(id) {
		fmt.Fprintln(sys.Stderr, "handfast: no other server accepts new clients: until one does, clients that reconnect get 503")
	}
	began := time.Now()
	if f.wait {
		if b, err = f.waitEmpty(ctx, sys, id, b); err != nil {
			return err
		}
	}
	after := ", after " + time.Since(began).Round(100*time.Millisecond).String()
	if f.json || !f.wait {
		if err := f.show(sys.Stdout, b); err != nil || f.json || b.connections(id) > 0 {
			return err
		}
		after = ""
	}
	_, err = fmt.Fprintf(sys.Stdout, "%s has no connections left%s%s\n", id, after, b.downReason(id))
	return err
}

// downReason describes why a server is down: "; it is down: connection refused". It returns "" if the server is not down.
func (b *balancerState) downReason(id string) string {
	for i := range b.Endpoints {
		if s, ok := b.server(i, id); ok && s.State == "down" {
			return "; it is down: " + visible.Text(s.Probed)
		}
	}
	return ""
}

// waitEmpty waits until a server has no connections, and returns the final state of the balancer. b is the state when the drain
// began.
func (f *serversFlags) waitEmpty(ctx context.Context, sys *System, id string, b *balancerState) (_ *balancerState, err error) {
	first, last := b.connections(id), -1
	bar := terminal(sys.Stderr)
	if bar != nil {
		defer fmt.Fprintln(bar)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		left := b.connections(id)
		if bar != nil && left != last {
			fmt.Fprintf(bar, "\r%s  [%s]  %d left \033[K", visible.Text(id), progressBar(30, first-left, first), left)
			last = left
		}
		switch {
		case left == 0:
			return b, nil
		case !b.isDraining(id):
			return nil, fmt.Errorf("the drain of %s was ended before the server was empty; connections left: %d", id, left)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
		if b, err = f.request(ctx, sys, http.MethodGet, "/balance", url.Values{}); err != nil {
			return nil, err
		}
	}
}

// connections returns the number of connections of a server, over all endpoints.
func (b *balancerState) connections(id string) (n int) {
	for i := range b.Endpoints {
		s, _ := b.server(i, id)
		n += s.Live
	}
	return n
}

// isDraining reports whether the server is draining or was removed at each endpoint at which it has connections.
func (b *balancerState) isDraining(id string) bool {
	for i := range b.Endpoints {
		if s, ok := b.server(i, id); ok && s.Live > 0 && !s.Drained && s.State != "removed" {
			return false
		}
	}
	return true
}

// leavesEndpointEmpty reports whether any endpoint of the server has no server that accepts new clients.
func (b *balancerState) leavesEndpointEmpty(id string) bool {
	for i, e := range b.Endpoints {
		ready := func(s gateway.BalancedServer) bool { return s.State == "ready" }
		if _, ok := b.server(i, id); ok && !slices.ContainsFunc(e.Servers, ready) {
			return true
		}
	}
	return false
}

// progressBar returns a bar of width characters that shows part as a share of whole.
func progressBar(width, part, whole int) string {
	full := width
	if whole > 0 {
		full = min(width, width*max(0, part)/whole)
	}
	return strings.Repeat("#", full) + strings.Repeat(".", width-full)
}
