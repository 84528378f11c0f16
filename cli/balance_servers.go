package cli

import (
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

	"github.com/handfast/handfast/internal/visible"
)

// adminTokenVariable is the environment variable with the token of an admin listener.
const adminTokenVariable = "HANDFAST_ADMIN_TOKEN"

// adminTimeout bounds one question to an admin listener.
const adminTimeout = 10 * time.Second

// server is a server as an admin listener describes it.
type server struct {
	ID       string  `json:"id"`
	State    string  `json:"state"`
	Why      string  `json:"why"`
	Weight   int     `json:"weight"`
	Share    float64 `json:"share"`
	Capacity int     `json:"capacity"`
	Live     int     `json:"live"`
	Load     int     `json:"load"`
	Opened   uint64  `json:"opened"`
	Failed   uint64  `json:"failed"`
	In       int64   `json:"from_clients"`
	Out      int64   `json:"from_server"`
}

// balanced is what /balance says.
type balanced struct {
	Endpoints []struct {
		Endpoint   string   `json:"endpoint"`
		Servers    []server `json:"servers"`
		Handshakes struct {
			Limited  bool    `json:"limited"`
			Rate     float64 `json:"rate"`
			Admitted uint64  `json:"admitted"`
			Refused  uint64  `json:"refused"`
		} `json:"handshakes"`
		Waiting int `json:"waiting"`
	} `json:"endpoints"`
}

// serversFlags is what the command line says about a running balancer.
type serversFlags struct {
	admin    string
	endpoint string
	json     bool
	wait     bool
	pace     string
	weight   int
	capacity int
}

func (f *serversFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.admin, "admin", defaultBalanceAdmin, "`host:port` of the balancer's admin listener")
	flags.StringVar(&f.endpoint, "endpoint", "", "the `name` of one endpoint; without the flag all that have the server")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	complete(cmd, map[string][]string{"admin": {defaultBalanceAdmin}, "endpoint": {}})
}

// newServer returns a command about one server of a running balancer. flags may be nil.
func newServer(use, short, long, example string, flags func(*cobra.Command, *serversFlags), do func(context.Context, *serversFlags, string) error) *cobra.Command {
	var f serversFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one server, such as 127.0.0.1:9001", "%s takes a server", cmd.Name())
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

// newServers returns the commands that ask a running balancer.
func newServers(sys *System) []*cobra.Command {
	ask := func(method, path string, more func(*serversFlags, url.Values) error) func(context.Context, *serversFlags, string) error {
		return func(ctx context.Context, f *serversFlags, id string) error {
			q := url.Values{"server": {id}}
			if more != nil {
				if err := more(f, q); err != nil {
					return err
				}
			}
			b, err := f.ask(ctx, sys, method, path, q)
			if err != nil {
				return err
			}
			return f.show(sys.Stdout, b)
		}
	}
	drain := newServer("drain SERVER", "Empty a server: no new clients, and those that it has come back elsewhere",
		`Has a server get no new clients, and closes the connections that it has with 1012, service
restart, at a pace. With --wait it exits 0 when no connection is left; a client that does not
answer its close frame is cut after 5 s. Interrupting it does not end the drain: undrain does.`,
		"  handfast balance drain 127.0.0.1:9001 --wait\n  handfast balance drain 127.0.0.1:9001 --pace 20/s",
		func(cmd *cobra.Command, f *serversFlags) {
			cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until no connection is left")
			cmd.Flags().StringVar(&f.pace, "pace", "", "how many connections in a second, such as `20/s`")
			complete(cmd, map[string][]string{"pace": {"20/s", "100/s"}})
		}, func(ctx context.Context, f *serversFlags, id string) error { return f.drain(ctx, sys, id) })
	undrain := newServer("undrain SERVER", "Let a server have new clients again", "Ends a drain: the server gets new clients again, at first fewer than its share.",
		"  handfast balance undrain 127.0.0.1:9001", nil, ask(http.MethodDelete, "/balance/drain", nil))
	add := newServer("add SERVER", "Add a server to a running balancer", "Adds a server, until the balancer ends or remove takes it off. No connection is touched, unless the balancer rebalances.",
		"  handfast balance add 127.0.0.1:9003\n  handfast balance add 127.0.0.1:9003 --weight 2 --capacity 1000",
		func(cmd *cobra.Command, f *serversFlags) {
			cmd.Flags().IntVar(&f.weight, "weight", 1, "its share, relative to the `others`")
			cmd.Flags().IntVar(&f.capacity, "capacity", 0, "how many `connections` it may have; 0: no bound")
			complete(cmd, map[string][]string{"weight": {}, "capacity": {}})
		}, ask(http.MethodPost, "/balance/servers", func(f *serversFlags, q url.Values) error {
			if f.weight < 1 || f.capacity < 0 {
				return usagef("write numbers from 1", "--weight %d --capacity %d cannot be", f.weight, f.capacity)
			}
			q.Set("weight", strconv.Itoa(f.weight))
			if f.capacity > 0 {
				q.Set("capacity", strconv.Itoa(f.capacity))
			}
			return nil
		}))
	remove := newServer("remove SERVER", "Remove a server that was added", "Removes a server that add has added. The connections that it has stay: drain it before, and they come back elsewhere.",
		"  handfast balance remove 127.0.0.1:9003", nil, ask(http.MethodDelete, "/balance/servers", nil))
	return []*cobra.Command{drain, undrain, add, remove, newBalanceStatus(sys), newBalanceTop(sys)}
}

func newBalanceStatus(sys *System) *cobra.Command {
	var f serversFlags
	cmd := &cobra.Command{
		Use: "status", Short: "Show the servers of a running balancer",
		Long:    "Shows the servers of a running balancer: their state, connections and share.",
		Example: "  handfast balance status\n  handfast balance status --json",
		Args:    cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			b, err := f.ask(cmd.Context(), sys, http.MethodGet, "/balance", url.Values{})
			if err != nil {
				return err
			}
			return f.show(sys.Stdout, b)
		}),
	}
	f.register(cmd)
	return cmd
}

// ask asks the admin listener.
func (f *serversFlags) ask(ctx context.Context, sys *System, method, path string, q url.Values) (*balanced, error) {
	if err := checkListen("--admin", f.admin); err != nil {
		return nil, err
	}
	if f.endpoint != "" {
		q.Set("endpoint", f.endpoint)
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+f.admin+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if token := sys.Getenv(adminTokenVariable); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, &hinted{fmt.Errorf("the admin listener at %s cannot be reached: %w", f.admin, unwrapURL(err)), "is the balancer running? --admin names its admin listener"}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, &hinted{fmt.Errorf("the admin listener requires a token"), "set " + adminTokenVariable}
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the balancer says: %s", strings.TrimSpace(string(text)))
	}
	b := &balanced{}
	if err := json.Unmarshal(text, b); err != nil {
		return nil, &hinted{fmt.Errorf("what %s answers is not that of a balancer: %w", f.admin, err), "--admin names the balancer's admin listener"}
	}
	return b, nil
}

// unwrapURL returns the cause of an error of net/http, without the URL.
func unwrapURL(err error) error {
	if e, ok := err.(*url.Error); ok { //nolint:errorlint // it is what http.Client.Do returns
		return e.Err
	}
	return err
}

// show prints the servers.
func (f *serversFlags) show(w io.Writer, b *balanced) error {
	if f.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(b)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVER\tSTATE\tCONNECTIONS\tWEIGHT\tREASON")
	for _, e := range b.Endpoints {
		for _, s := range e.Servers {
			fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\n", visible.Text(s.ID), s.State, s.Live, s.Weight, visible.Text(s.Why))
		}
	}
	return t.Flush()
}

// drain empties a server.
func (f *serversFlags) drain(ctx context.Context, sys *System, id string) error {
	q := url.Values{"server": {id}}
	if f.pace != "" {
		n, err := strconv.ParseFloat(strings.TrimSuffix(f.pace, "/s"), 64)
		if err != nil || !(n > 0) {
			return usagef("write how many connections in a second, such as 20/s", "--pace %q cannot be", f.pace)
		}
		q.Set("pace", strings.TrimSuffix(f.pace, "/s"))
	}
	b, err := f.ask(ctx, sys, http.MethodPost, "/balance/drain", q)
	if err != nil || !f.wait {
		if err == nil {
			err = f.show(sys.Stdout, b)
		}
		return err
	}
	began, first, last := time.Now(), b.left(id), -1
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		left := b.left(id)
		if left != last {
			f.progress(sys, id, first, left)
			last = left
		}
		if left == 0 {
			if terminal(sys.Stderr) != nil {
				fmt.Fprintln(sys.Stderr)
			}
			if f.json {
				return f.show(sys.Stdout, b)
			}
			_, err := fmt.Fprintf(sys.Stdout, "%s has no connection any more, after %s\n", id, time.Since(began).Round(100*time.Millisecond))
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if b, err = f.ask(ctx, sys, http.MethodGet, "/balance", url.Values{}); err != nil {
			return err
		}
	}
}

// left returns how many connections a server has.
func (b *balanced) left(id string) (n int) {
	for _, e := range b.Endpoints {
		if i := slices.IndexFunc(e.Servers, func(s server) bool { return s.ID == id }); i >= 0 {
			n += e.Servers[i].Live
		}
	}
	return n
}

// progress shows how far a drain is: a bar on a terminal, nothing elsewhere.
func (f *serversFlags) progress(sys *System, id string, first, left int) {
	if terminal(sys.Stderr) == nil || first == 0 {
		return
	}
	const width = 30
	full := width * max(0, first-left) / first
	fmt.Fprintf(sys.Stderr, "\r%s  [%s%s]  %d left \033[K", visible.Text(id), strings.Repeat("#", full), strings.Repeat(".", width-full), left)
}
