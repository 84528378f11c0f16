package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/handfast/handfast/gateway"
	"github.com/handfast/handfast/internal/visible"
)

func newBalanceTop(sys *System) *cobra.Command {
	var f serversFlags
	var every time.Duration
	cmd := &cobra.Command{
		Use: "top", Short: "Watch the servers of a running balancer",
		Long: `Shows the servers of a running balancer, their connections and events, every second until
Ctrl-C. If the output is not a terminal, it prints once, as status does, with the rates of one
interval.`,
		Example: "  handfast balance top\n  handfast balance top --every 5s",
		Args:    noArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return usagef("write 100ms or more", "--every %v is too short", every)
			}
			return f.top(cmd.Context(), sys, every)
		}),
	}
	f.register(cmd)
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often")
	complete(cmd, map[string][]string{"every": {"1s", "5s"}})
	return cmd
}

// top shows the servers repeatedly.
func (f *serversFlags) top(ctx context.Context, sys *System, every time.Duration) error {
	ctx, stop := untilSignal(ctx, sys)
	defer stop()
	before, err := f.request(ctx, sys, http.MethodGet, "/balance", url.Values{})
	if err != nil {
		return err
	}
	out := terminal(sys.Stdout)
	if out != nil {
		fmt.Fprint(out, "\033[?1049h\033[?25l")       // switches to the alternate screen, and hides the cursor
		defer fmt.Fprint(out, "\033[?25h\033[?1049l") // switches back
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		now, err := f.request(ctx, sys, http.MethodGet, "/balance", url.Values{})
		if err != nil {
			return err
		}
		took := time.Since(last)
		last = time.Now()
		if out == nil {
			if f.json {
				return f.show(sys.Stdout, now)
			}
			return topTable(sys.Stdout, before, now, took, 20)
		}
		width, height, err := term.GetSize(int(out.Fd()))
		if err != nil {
			width, height = 80, 24
		}
		var b strings.Builder
		if err := topTable(&b, before, now, took, max(10, width-90)); err != nil {
			return err
		}
		fmt.Fprintf(out, "\033[H\033[J%s  %s\n\n%s", newPaint(sys, out).bold("handfast balance"), time.Now().Format(time.TimeOnly), fitLines(height-2, b.String()))
		before = now
	}
}

// fitLines returns a text that fits on a screen with the given number of lines. If lines are cut, the last line is "...".
func fitLines(lines int, text string) string {
	all := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if len(all) < lines { // the last line of the screen stays empty, because its line feed would scroll the screen
		return text
	}
	return strings.Join(all[:max(1, lines-2)], "") + "...\n"
}

// topTable prints the servers of the state now, with bars for the connections. The rates are computed from before, a state that is older
// than now by took.
func topTable(w io.Writer, before, now *balancerState, took time.Duration, width int) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, now.endpointHeading()+"SERVER\tSTATE\tCONNECTIONS\t\tOPENED/s\tFAILED/s\tIN/s\tOUT/s\tMESSAGES/s\tREASON")
	maxLive := 1
	for _, e := range now.Endpoints {
		for _, s := range e.Servers {
			maxLive = max(maxLive, s.Live)
		}
	}
	rate := func(n float64) float64 { return n / took.Seconds() }
	for i, e := range now.Endpoints {
		for _, s := range e.Servers {
			was, _ := before.server(i, s.ID)
			fmt.Fprintf(t, "%s%s\t%s\t%d\t%s\t%.0f\t%.0f\t%s\t%s\t%.0f\t%s\n", now.endpointColumn(i), visible.Text(s.ID), s.State, s.Live, progressBar(width, s.Live, maxLive),
				rate(float64(s.Opened-was.Opened)), rate(float64(s.Failed-was.Failed)), formatBytes(rate(float64(s.FromClients-was.FromClients))), formatBytes(rate(float64(s.FromServer-was.FromServer))),
				rate(float64(s.MessagesFromClients-was.MessagesFromClients+s.MessagesFromServer-was.MessagesFromServer)), visible.Text(s.Why)+drainProgress(s))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, e := range now.Endpoints {
		rate := "the rate is not limited"
		if e.Storm.Limited {
			rate = fmt.Sprintf("the rate is limited to %.0f per second", e.Storm.Rate)
		}
		resuming := ""
		if e.Storm.Refused > 0 {
			resuming = fmt.Sprintf(", %d of which resume a session", e.Storm.RefusedResuming)
		}
		fmt.Fprintf(&b, "\n%s: %d handshakes are waiting, %s, %d were refused%s\n", visible.Text(e.Endpoint), e.Waiting, rate, e.Storm.Refused, resuming)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// drainProgress describes the progress of a server's drain. It returns "" if the server is not draining or has no connections to move.
func drainProgress(s gateway.BalancedServer) string {
	if s.From == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of %d connections have left", max(0, s.From-s.Live), s.From)
}

// server returns the server with an ID at an endpoint, if it exists.
func (b *balancerState) server(endpoint int, id string) (s gateway.BalancedServer, ok bool) {
	if endpoint < len(b.Endpoints) {
		for _, s := range b.Endpoints[endpoint].Servers {
			if s.ID == id {
				return s, true
			}
		}
	}
	return s, false
}

// formatBytes formats a number of bytes.
func formatBytes(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if n < 1000 || unit == "GB" {
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return ""
}
