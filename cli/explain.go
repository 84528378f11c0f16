package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/handfast/handfast/explain"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	dial dialFlags // headers, subprotocols, origin and TLS have the same flags as for dial

	noOrigin    bool
	noCompress  bool
	stepTimeout time.Duration
	echo        string
	watch       watchTime
	probeIdle   time.Duration
	noCrossSite bool
	noProbes    bool
	summary     bool
	report      outFlags
}

func newExplain(sys *System) *cobra.Command {
	f := explainFlags{report: outFlags{flag: "report", mode: 0o600}}
	cmd := &cobra.Command{
		Use:   "explain URL [URL]",
		Short: "Show a handshake step by step, and say what is wrong with it",
		Long: `Opens a WebSocket as a browser would, and shows each step with its time, the data sent and
received, and the rule that applies: name, TCP, proxy, TLS and its chain, the request, the
response, the computed accept value, subprotocol and extensions, a ping, the closing
handshake. If the handshake fails, it prints the reason, the clause, and what the server's operator and
the client can do.

With two URLs it explains both and prints the differences, such as with a proxy and without.

It exits 0 if the connection opened and worked, and 1 otherwise.

Like a browser it sends the Origin of the URL's own host, offers compression and does not
follow redirects. After a successful handshake it tries a second one as a page of another
site, to check whether the server accepts it (--no-cross-site skips that). After some
failures it opens further connections to find the cause. These carry no credentials, except
where the same handshake is repeated with another origin or without Upgrade. --no-probes
skips all of them.

Credentials are redacted in the output. Each flag for one takes the value itself, which
other users of this machine may see in the process list, or @FILE, or env:NAME.`,
		Example: `  handfast explain wss://localhost:8443/echo
  handfast explain --echo hello --json wss://example.com/chat
  handfast explain --origin https://app.example.com --cookie @cookie.txt wss://example.com/chat
  handfast explain --bearer env:TOKEN --subprotocol chat.v1 wss://example.com/chat
  handfast explain --summary --report ticket.html wss://example.com/chat
  handfast explain --watch wss://example.com/feed
  handfast explain --probe-idle 3m wss://example.com/feed`,
		Args: cobra.ArbitraryArgs, // RunE checks their number, so that each error can have its own next step
		ValidArgsFunction: cobra.FixedCompletions([]string{"wss://", "ws://"},
			cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && !f.watch.given {
				return compareExplained(cmd.Context(), sys, &f, args)
			}
			if len(args) != 1 {
				if f.watch.given && len(args) == 2 {
					return usagef("leave out one URL; to limit the time, write --watch=30s", "--watch takes one URL, not 2")
				}
				return usagef("", "explain takes one URL, or two to compare, not %d", len(args))
			}
			return runExplain(cmd.Context(), sys, &f, args[0])
		}),
	}
	f.define(cmd)
	return cmd
}

// define adds the flags to a command.
func (f *explainFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.dial.headers, "header", "H", nil, "add a `header` to the request, \"Name: value\"; may be repeated")
	flags.StringSliceVar(&f.dial.subprotocols, "subprotocol", nil, "offer a subprotocol by `name`; may be repeated, the preferred one first")
	flags.StringVar(&f.dial.origin, "origin", "", "the `origin` of the page, such as https://example.com; by default that of the URL's host")
	flags.BoolVar(&f.noOrigin, "no-origin", false, "send no Origin, as programs other than browsers do")
	flags.BoolVar(&f.noCompress, "no-compress", false, "do not offer compression")
	f.dial.credentials.define(cmd)
	f.dial.defineTLS(flags, "key")
	f.dial.defineProxy(cmd)
	flags.DurationVar(&f.dial.timeout, "timeout", 15*time.Second, "the total time limit, except for --watch and --probe-idle")
	flags.DurationVar(&f.stepTimeout, "step-timeout", 5*time.Second, "the time limit for each wait")
	flags.StringVar(&f.echo, "echo", "", "send this `text` and wait for its echo")
	flags.Var(&f.watch, "watch", "print received frames until the server closes or you press Ctrl-C, or for this `duration`")
	flags.Lookup("watch").NoOptDefVal = watchForever
	flags.DurationVar(&f.probeIdle, "probe-idle", 0, "keep the connection idle for at most this long, to find the idle timeout of the path")
	flags.BoolVar(&f.noCrossSite, "no-cross-site", false, "do not try handshakes with other origins")
	flags.BoolVar(&f.noProbes, "no-probes", false, "open only one connection, even after a failure")
	flags.BoolVar(&f.summary, "summary", false, "print at most ten lines: the progress, the cause of a failure, the first step for each side")
	flags.StringVar(&f.report.file, f.report.flag, "", "also write the whole report to this new `file`, for a ticket: HTML if its name ends in .html")
	f.report.registerForce(cmd)
	flags.BoolVar(&f.dial.json, "json", false, "print the report as one JSON document; with --watch a line for each frame and for the report")
	values := map[string][]string{
		"timeout": {"5s", "15s", "1m"}, "step-timeout": {"2s", "5s", "20s"}, "probe-idle": {"1m", "3m", "10m"},
		"watch":  {"10s", "1m", watchForever},
		"header": {}, "subprotocol": {}, "origin": {}, "echo": {},
	}
	for _, name := range secretFlags {
		values[name] = []string{"env:"}
	}
	complete(cmd, values)
}

// options checks the flags and converts them for the package.
func (f *explainFlags) options(sys *System) (*explain.Options, error) {
	switch {
	case f.dial.timeout <= 0 || f.stepTimeout <= 0:
		return nil, usagef("write a duration such as 30s", "--timeout and --step-timeout must be positive")
	case f.probeIdle < 0:
		return nil, usagef("write a duration such as 3m", "--probe-idle must not be negative")
	case f.summary && (f.dial.json || f.watch.given):
		return nil, usagef("leave one of them out", "--summary cannot be used with --json or --watch")
	case f.dial.origin != "" && f.noOrigin:
		return nil, usagef("leave one of them out", "--origin and --no-origin cannot be used together")
	}
	if file := f.report.file; file != "" {
		dir := filepath.Dir(file)
		if at, err := os.Stat(dir); err != nil || !at.IsDir() {
			return nil, usagef("create it first", "--report %s: there is no directory %s", file, dir)
		}
		if err := f.report.check(); err != nil {
			return nil, err
		}
	}
	f.dial.http.value = "1.1"
	shared, err := f.dial.options(sys) // checks and reads the flags that dial has, too
	if err != nil {
		return nil, err
	}
	opts := &explain.Options{
		Origin: f.dial.origin, NoOrigin: f.noOrigin, Header: shared.Header, Subprotocols: shared.Subprotocols, TLS: shared.TLS,
		NoCompression: f.noCompress, Timeout: f.dial.timeout, StepTimeout: min(f.stepTimeout, f.dial.timeout), Echo: f.echo,
		NoOriginProbes: f.noCrossSite, NoProbes: f.noProbes, ProbeIdle: f.probeIdle, Watch: f.watch.d,
	}
	if opts.Credentials, err = f.dial.credentials.read(sys); err != nil {
		return nil, err
	}
	if opts.Proxy, err = findProxy(sys, f.dial.proxy); err != nil {
		return nil, err
	}
	return opts, nil
}

// runExplain diagnoses a URL, and writes the report to standard output.
func runExplain(ctx context.Context, sys *System, f *explainFlags, raw string) error {
	if _, err := checkURL(raw); err != nil {
		return err
	}
	opts, err := f.options(sys)
	if err != nil {
		return err
	}
	ctx, cancel, stop := interruptible(ctx, sys)
	defer cancel()
	show := newExplainText
	switch {
	case f.dial.json:
		show = newExplainJSON
	case f.summary:
		show = newExplainSummary
	}
	out := &cancelingWriter{w: sys.Stdout, failed: cancel}
	write := show(sys, out, opts)
	report := explain.Explain(ctx, raw, opts)
	stop()
	if err := cmp.Or(out.err, write(report)); err != nil {
		return err
	}
	return finishExplained(ctx, sys, f, report)
}

// compareExplained diagnoses two URLs, one after the other, and prints the differences.
func compareExplained(ctx context.Context, sys *System, f *explainFlags, urls []string) error {
	if f.summary {
		return usagef("omit --summary", "--summary cannot be used with two URLs")
	}
	var reports []*explain.Report
	for _, raw := range urls {
		if _, err := checkURL(raw); err != nil {
			return err
		}
	}
	opts, err := f.options(sys)
	if err != nil {
		return err
	}
	ctx, cancel, stop := interruptible(ctx, sys)
	defer cancel()
	defer stop()
	for _, raw := range urls {
		own := *opts
		reports = append(reports, explain.Explain(ctx, raw, &own))
	}
	c := explain.Compare(reports[0], reports[1])
	write := c.WriteText
	if f.dial.json {
		write = func(w io.Writer) error { return indented(w).Encode(c) }
	}
	if err := write(sys.Stdout); err != nil {
		return err
	}
	return finishExplained(ctx, sys, f, c)
}

// finishExplained writes the file that --report names, and returns the result of the command.
func finishExplained(ctx context.Context, sys *System, f *explainFlags, r shareableReport) error {
	if err := writeReport(sys, &f.report, r); err != nil {
		return err
	}
	switch {
	case r.OK():
		return nil
	case ctx.Err() != nil:
		return errInterrupted
	}
	return errReported
}

// interruptible returns a context that a signal cancels until stop is called. The caller must call stop once.
func interruptible(ctx context.Context, sys *System) (_ context.Context, cancel context.CancelFunc, stop func()) {
	ctx, cancel = context.WithCancel(ctx)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-sys.Signals:
			cancel()
		case <-done:
		}
	}()
	return ctx, cancel, func() {
		close(done)
		<-watched
	}
}

// cancelingWriter writes to standard output. If a write fails, it cancels the diagnosis.
type cancelingWriter struct {
	w      io.Writer
	failed func()
	err    error // the first error; after it, nothing more is written
}

func (o *cancelingWriter) Write(b []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(b)
	if err != nil {
		o.err = err
		o.failed()
	}
	return n, err
}

// newExplainText writes the report as text during the diagnosis, and returns a function that completes it.
func newExplainText(sys *System, w io.Writer, opts *explain.Options) func(*explain.Report) error {
	out := terminal(sys.Stdout)
	o := &explain.TextOptions{Color: bool(newPaint(sys, sys.Stdout))}
	if out != nil {
		if columns, _, err := term.GetSize(int(out.Fd())); err == nil && columns > 0 {
			o.Width = min(columns, 140)
		}
	}
	text := explain.NewText(w, o)
	opts.OnBegin, opts.OnStep, opts.OnFrame = text.Begin, text.Step, text.Frame
	return text.End
}

// newExplainSummary returns a function that writes a summary of at most ten lines.
func newExplainSummary(_ *System, w io.Writer, _ *explain.Options) func(*explain.Report) error {
	return func(r *explain.Report) error { return r.WriteSummary(w) }
}

// shareableReport is a report or a comparison, which can be attached to a support ticket.
type shareableReport interface {
	OK() bool
	WriteMarkdown(w io.Writer) error
	WriteHTML(w io.Writer) error
}

// writeReport writes a report to the file in to, in the format that the file name selects. Without a file it does nothing.
func writeReport(sys *System, to *outFlags, r shareableReport) error {
	if to.file == "" {
		return nil
	}
	write := r.WriteMarkdown
	switch strings.ToLower(filepath.Ext(to.file)) {
	case ".html", ".htm":
		write = r.WriteHTML
	}
	var b strings.Builder
	if err := write(&b); err != nil {
		return err
	}
	return to.write(sys, b.String())
}

// newExplainJSON returns a function that writes the report as one JSON document. If frames are watched, it writes each frame and then the
// report as one line.
func newExplainJSON(_ *System, w io.Writer, opts *explain.Options) func(*explain.Report) error {
	if opts.Watch == 0 {
		return func(r *explain.Report) error { return indented(w).Encode(r) }
	}
	encoder := newEncoder(w)
	var failed error
	opts.OnFrame = func(f explain.Frame) {
		if failed == nil {
			failed = encoder.Encode(map[string]explain.Frame{"frame": f})
		}
	}
	return func(r *explain.Report) error {
		if failed != nil {
			return failed
		}
		return encoder.Encode(map[string]*explain.Report{"report": r})
	}
}

// indented returns an encoder of indented JSON.
func indented(w io.Writer) *json.Encoder {
	e := newEncoder(w)
	e.SetIndent("", "  ")
	return e
}

func newEncoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// watchForever is the value of --watch without a duration.
const watchForever = "forever"

// watchTime is the value of --watch.
type watchTime struct {
	d     time.Duration
	given bool
}

func (w *watchTime) String() string {
	switch {
	case w.d < 0:
		return watchForever
	case w.d == 0:
		return ""
	}
	return w.d.String()
}

func (w *watchTime) Type() string { return "duration" }

func (w *watchTime) Set(s string) error {
	w.given = true
	if s == watchForever {
		w.d = -1
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return fmt.Errorf("the value must be a positive duration, such as 30s, or %s", watchForever)
	}
	w.d = d
	return nil
}
