package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/internal/visible"
)

// subscribeFlags are the flags of subscribe.
type subscribeFlags struct {
	channelsFlags
	json     bool
	since    string
	history  int
	presence bool
	count    int
}

func newSubscribe(sys *System) *cobra.Command {
	var f subscribeFlags
	cmd := &cobra.Command{
		Use:   "subscribe CHANNEL...",
		Short: "Print the messages of channels",
		Long: `Subscribes to channels, and prints each message as a line: the text of a string, other JSON
compactly. It runs until Ctrl-C, and reconnects when the connection is lost: then it prints
the messages that it missed, or reports on standard error that messages may be missing.

With --json each line is a JSON object with all fields of a message, such as its channel,
offset, publisher and time.

--history prints the last messages of each channel first. --since prints those after a
position, as EPOCH:OFFSET. --presence prints the members, and joins and leaves, on standard
error, or with --json as objects among the messages.

It exits 0 after Ctrl-C or the messages of --count, and 1 when there is no connection or
a channel is denied.`,
		Example: `  handfast subscribe chat
  handfast subscribe --url ws://127.0.0.1:9000/channels --history 10 chat
  handfast subscribe --json --presence chat news
  handfast subscribe --count 1 done && echo finished`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("name a channel: handfast subscribe chat", "subscribe takes at least one channel")
			case slices.Contains(args, ""):
				return usagef("", "the name of a channel must not be empty")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if f.history < 0 || f.history > 1000 || f.count < 0 {
				return usagef("", "--history must be between 0 and 1000, and --count must not be negative")
			}
			return f.run(cmd.Context(), sys, args)
		}),
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print each message with all its fields, as a JSON object")
	flags.StringVar(&f.since, "since", "", "begin after this `position`, EPOCH:OFFSET")
	flags.IntVar(&f.history, "history", 0, "begin with the last `N` messages of each channel")
	flags.BoolVar(&f.presence, "presence", false, "print the members, joins and leaves")
	flags.IntVarP(&f.count, "count", "n", 0, "exit after `N` messages; 0 means never")
	complete(cmd, map[string][]string{"since": {}, "history": {"10", "100"}, "count": {"1", "10"}})
	return cmd
}

// position parses --since; it returns nil if the flag is not set.
func (f *subscribeFlags) position() (*client.Position, error) {
	if f.since == "" {
		return nil, nil // nil means that the flag is not set
	}
	epoch, offset, ok := strings.Cut(f.since, ":")
	n, err := strconv.ParseUint(offset, 10, 64)
	if !ok || epoch == "" || err != nil {
		return nil, usagef("write EPOCH:OFFSET, as --json prints them; to begin without a position, use --history 1000",
			"--since %s is not a position", strconv.Quote(f.since))
	}
	if f.history > 0 {
		return nil, usagef("leave one of them out", "--since and --history cannot be used together")
	}
	return &client.Position{Epoch: epoch, Offset: n}, nil
}

// run subscribes, and prints events.
func (f *subscribeFlags) run(ctx context.Context, sys *System, names []string) error {
	since, err := f.position()
	if err != nil {
		return err
	}
	slices.Sort(names)
	err = f.withClient(ctx, sys, func(ctx context.Context, c *client.Client) error {
		p := &printer{sys: sys, flags: f, ended: make(chan error, 1)}
		defer p.stop()
		for _, name := range slices.Compact(names) {
			if err := f.subscribe(ctx, c, p, name, since); err != nil {
				return err
			}
		}
		select {
		case err := <-p.ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if errors.Is(err, errInterrupted) {
		return nil
	}
	return err
}

// last returns the last messages of a channel, as many as requested, and the position of the channel.
func (f *subscribeFlags) last(ctx context.Context, c *client.Client, name string) (all []client.Message, at client.Position, err error) {
	o := client.HistoryOptions{Reverse: true}
	for len(all) < f.history {
		o.Limit = f.history - len(all)
		page, err := c.History(ctx, name, o)
		if err != nil {
			return nil, at, err
		}
		if o.Since == nil {
			at = page.Position
		}
		n := len(page.Messages)
		if n == 0 {
			break
		}
		o.Since = &client.Position{Epoch: at.Epoch, Offset: page.Messages[n-1].Offset}
		all = append(all, page.Messages...)
	}
	slices.Reverse(all)
	for i := range all {
		all[i].Channel = name
	}
	return all, at, nil
}

// subscribe subscribes to one channel, and prints the last messages first.
func (f *subscribeFlags) subscribe(ctx context.Context, c *client.Client, p *printer, name string, since *client.Position) error {
	first, cancel := f.withTimeout(ctx)
	defer cancel()
	if f.history > 0 {
		last, at, err := f.last(first, c, name)
		if err != nil {
			return f.timeoutError(denied(name, err))
		}
		for i := range last {
			p.printEvent(name, at.Epoch, client.Event{Message: &last[i]})
		}
		since = &at
	}
	o := client.SubscribeOptions{Since: since}
	if f.presence {
		o.Changes, o.Members = true, 1000
	}
	s, err := c.Subscribe(first, name, &o)
	if err != nil {
		return f.timeoutError(denied(name, err))
	}
	for _, m := range s.Members {
		p.printEvent(name, "", client.Event{Change: &client.Change{Type: "member", Channel: name, Member: m}})
	}
	go func() {
		for e, err := range s.Events(ctx) {
			if err != nil {
				p.end(denied(name, err))
				return
			}
			p.printEvent(name, s.Position().Epoch, e)
		}
	}()
	return nil
}

// denied adds the channel to an error of the server.
func denied(channel string, err error) error {
	failed, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err
	}
	err = fmt.Errorf("channel %s: %s (%s)", channel, failed.Message, failed.Code)
	if failed.Code == wire.Denied {
		return &hinted{err, "the rules of the server's endpoint must allow this for the user of the token that -H \"Authorization: Bearer …\" sends; " +
			"on the server, handfast config test FILE prints the deciding rule"}
	}
	return err
}

// printer prints the events of channels.
type printer struct {
	sys   *System
	flags *subscribeFlags
	ended chan error // receives the first reason to stop; nil means that --count was reached

	mu      sync.Mutex
	printed int
	stopped bool
}

func (p *printer) end(err error) {
	select {
	case p.ended <- err:
	default:
	}
}

// stop prevents further output.
func (p *printer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

// printEvent prints an event.
func (p *printer) printEvent(channel, epoch string, e client.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	var err error
	switch {
	case p.flags.json:
		err = printLine(p.sys.Stdout, eventJSON(channel, epoch, e))
	case e.Message != nil:
		line := messageText(e.Message)
		if terminal(p.sys.Stdout) != nil {
			line = visible.Text(line)
		}
		err = printLine(p.sys.Stdout, line)
	case e.Change != nil:
		fmt.Fprintf(p.sys.Stderr, "%s: %s %s %s\n", visible.Text(channel), e.Change.Type, visible.Text(e.Change.Member.User),
			visible.Text(string(e.Change.Member.Data)))
	case e.Gap == wire.NewEpoch && epoch != "" && strings.HasPrefix(p.flags.since, epoch+":"):
		fmt.Fprintf(p.sys.Stderr, "handfast: channel %s: --since is beyond the last message; continuing after that message\n", visible.Text(channel))
	default:
		fmt.Fprintf(p.sys.Stderr, "handfast: channel %s: messages may be missing (%s)\n", visible.Text(channel), e.Gap)
	}
	if e.Message != nil {
		p.printed++
	}
	if err != nil || p.flags.count > 0 && p.printed == p.flags.count {
		p.stopped = true
		p.end(err)
	}
}

// messageText returns a message as a line: the text of a string, or compact JSON.
func messageText(m *client.Message) string {
	var text string
	if json.Unmarshal(m.Data, &text) == nil {
		return text
	}
	var b bytes.Buffer
	if json.Compact(&b, m.Data) != nil {
		return string(m.Data)
	}
	return b.String()
}

// eventJSON returns an event as a JSON object.
func eventJSON(channel, epoch string, e client.Event) string {
	var v any
	switch {
	case e.Message != nil:
		v = struct {
			client.Message
			Epoch string `json:"epoch"`
		}{*e.Message, epoch}
	case e.Change != nil:
		v = e.Change
	default:
		v = struct {
			Type    string           `json:"type"`
			Channel string           `json:"channel"`
			Why     client.GapReason `json:"why"`
		}{"gap", channel, e.Gap}
	}
	text, err := wire.Encode(v)
	if err != nil {
		return err.Error() // the data was valid JSON
	}
	return string(text)
}
