package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/internal/visible"
)

// publishFlags are the flags of publish.
type publishFlags struct {
	channelsFlags
	raw bool
	key string
}

func newPublish(sys *System) *cobra.Command {
	var f publishFlags
	cmd := &cobra.Command{
		Use:   "publish CHANNEL [DATA]",
		Short: "Publish messages to a channel",
		Long: `Publishes DATA to a channel, or without it each line of standard input, in order. A message
is a JSON string, so that "handfast subscribe" prints the same line; with --raw, DATA and
the lines are JSON.

It exits 0 when the server has accepted all messages, and 1 when there is no connection or
the server does not accept a message within --timeout. In that case the messages before it
are published, the messages after it are not, and the message itself may still be published
when the engine of the channels responds again. After a lost connection it reconnects, and no message is published twice.`,
		Example: `  handfast publish chat hello
  handfast publish --raw chat '{"text":"hello"}'
  uptime | handfast publish --url ws://127.0.0.1:9000/channels load
  tail -f access.log | handfast publish access
  handfast publish --key gold --raw prices 4100.5`,
		Args: func(_ *cobra.Command, args []string) error {
			const what = "publish takes a channel and, unless the data comes from standard input, the data"
			switch {
			case len(args) == 0 || args[0] == "":
				return usagef("name a channel: handfast publish chat hello", what)
			case len(args) > 2:
				return usagef("quote data that has spaces in it", what)
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if f.raw && len(args) == 2 && !json.Valid([]byte(args[1])) {
				return usagef("quote the JSON for the shell: --raw chat '{\"a\":1}'", "the data is not JSON, which --raw requires")
			}
			return f.run(cmd.Context(), sys, args)
		}),
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.raw, "raw", false, "the data is already JSON")
	flags.StringVar(&f.key, "key", "", "set this `key` of a keyed collection")
	complete(cmd, map[string][]string{"key": {}})
	return cmd
}

// run publishes the messages.
func (f *publishFlags) run(ctx context.Context, sys *System, args []string) error {
	return f.withClient(ctx, sys, func(ctx context.Context, c *client.Client) error {
		if len(args) == 2 {
			return f.publish(ctx, c, args[0], []byte(args[1]))
		}
		if terminal(sys.Stdin) != nil {
			fmt.Fprintln(sys.Stderr, visible.Text("each line is a message to "+args[0]+"; Ctrl-D ends"))
		}
		lines := make(chan []byte)
		ended := make(chan error, 1)
		go func() { // a read from standard input cannot be interrupted, so this goroutine may remain until the process ends
			in := newLines(sys.Stdin)
			for {
				m, err := in.next()
				if err != nil {
					ended <- err
					return
				}
				select {
				case lines <- append([]byte(nil), m.Data...):
				case <-ctx.Done():
					return
				}
			}
		}()
		for n := 1; ; n++ {
			select {
			case line := <-lines:
				if err := f.publish(ctx, c, args[0], line); err != nil {
					return fmt.Errorf("line %d: %w", n, err)
				}
			case err := <-ended:
				if bad, ok := errors.AsType[*hinted](err); ok { // the next step in the error only applies to dial
					err = bad.err
				}
				if !errors.Is(err, io.EOF) {
					return err
				}
				if n == 1 {
					printError(sys.Stderr, errors.New("standard input is empty: nothing was published"), "write the message after the channel, or pipe lines in")
				}
				return nil
			case <-c.Done():
				return c.Err()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

// publish publishes one message, and waits until the server has accepted it.
func (f *publishFlags) publish(ctx context.Context, c *client.Client, channel string, data []byte) error {
	if !f.raw {
		text, err := json.Marshal(string(data))
		if err != nil {
			return err
		}
		data = text
	} else if !json.Valid(data) {
		return &hinted{errors.New("the data is not JSON, which --raw requires"), "without --raw, each line is published as a JSON string"}
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	_, err := c.Publish(ctx, channel, data, &client.PublishOptions{Key: f.key})
	return f.timeoutError(denied(channel, err))
}
