package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/client"
	"github.com/handfast/handfast/internal/visible"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/reconnect"
)

// channelsURL is the channels URL of "serve" without a configuration.
const channelsURL = "wss://localhost:8443/channels"

// channelsStep is the next step if there are no channels at a URL.
const channelsStep = "with --url, give the URL of an endpoint for channels; without a configuration file, handfast serve has one at /channels"

// channelsFlags are the flags of the commands for channels.
type channelsFlags struct {
	url     string
	timeout time.Duration
	dial    dialFlags
}

// closeTimeout is the timeout of the closing handshake at the end of a command. A server that hangs does not reply to the close frame.
const closeTimeout = time.Second

// register adds the flags to a command.
func (f *channelsFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", channelsURL, "the `URL` of the server's channels")
	flags.DurationVar(&f.timeout, "timeout", 30*time.Second, "the `duration` to wait for an answer")
	flags.StringArrayVarP(&f.dial.headers, "header", "H", nil, "add a `header` to the handshake, \"Name: value\"; may be repeated")
	f.dial.defineTLS(flags, "key-file")
	f.dial.defineProxy(cmd)
	complete(cmd, map[string][]string{"url": {channelsURL, "ws://127.0.0.1:9000/channels"}, "header": {}})
}

// withTimeout returns a context for waiting for a reply.
func (f *channelsFlags) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, f.timeout, errTimeout)
}

// errTimeout indicates that --timeout has passed.
var errTimeout = errors.New("the server did not respond in time")

// timeoutError returns the error for a wait that failed with err. If the timeout has passed, the error explains that.
func (f *channelsFlags) timeoutError(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	why := fmt.Sprintf("%v: %v", errTimeout, f.timeout)
	if failed, ok := errors.AsType[*client.Error](err); ok {
		why += ": " + visible.Text(failed.Message)
	}
	return &hinted{errors.New(why), "the engine of the channels may be unreachable: check /readyz and /info of the server's admin listener"}
}

// options checks the flags and converts them for the library.
func (f *channelsFlags) options(sys *System) (*websocket.DialOptions, error) {
	if f.dial.key != "" && f.dial.cert == "" {
		return nil, usagef("add --cert FILE", "--key-file requires the certificate of the key")
	}
	if f.timeout <= 0 {
		return nil, usagef("write a duration such as 30s", "--timeout must be positive")
	}
	f.dial.http.value, f.dial.ping = "1.1", 25*time.Second
	dial, err := f.dial.options(sys)
	if err != nil {
		return nil, err
	}
	dial.Conn.CloseTimeout = closeTimeout
	return dial, useProxy(sys, f.dial.proxy, dial)
}

// withClient connects, and calls work with a context that a signal cancels. It returns the error of the first connection, or of work.
func (f *channelsFlags) withClient(ctx context.Context, sys *System, work func(ctx context.Context, c *client.Client) error) error {
	shown, err := checkURL(f.url)
	if err != nil {
		return err
	}
	dial, err := f.options(sys)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx, sys)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var connected atomic.Bool
	c := client.New(f.url, &client.Options{
		Dial: dial, Connected: func(client.Welcome) { connected.Store(true) },
		Reconnect: &reconnect.Options{OnRetry: func(failed reconnect.Failure, delay time.Duration) {
			if !connected.Load() { // the first connection failed: do not retry, because the server may not exist
				cancel(f.connectError(shown, failed.Err, dial))
				return
			}
			fmt.Fprintf(sys.Stderr, "handfast: %s; reconnecting in %v\n", visible.Text(failed.Err.Error()), delay.Round(time.Millisecond))
		}},
	})
	defer c.Close() //nolint:errcheck // Close always returns nil
	err = work(ctx, c)
	switch cause := context.Cause(ctx); {
	case ctx.Err() != nil && cause != nil:
		return cause
	case err != nil && errors.Is(err, c.Err()):
		if failed, ok := errors.AsType[*websocket.HandshakeError](err); ok {
			return f.connectError(shown, failed, dial)
		}
		if errors.Is(err, client.ErrProtocol) {
			return &hinted{fmt.Errorf("no channels at %s: the server does not speak %s there", shown, wire.Subprotocol), channelsStep}
		}
		return fmt.Errorf("the connection was lost: %w", err)
	}
	return err
}

// connectError returns the error of a connection that could not be opened.
func (f *channelsFlags) connectError(shown string, err error, dial *websocket.DialOptions) error {
	failed := dialError(shown, err, sentInfoOf(f.url, dial))
	if e, ok := errors.AsType[*websocket.HandshakeError](err); ok && e.Status == http.StatusNotFound {
		return &hinted{failed, channelsStep}
	}
	return failed
}

// printLine writes a line to standard output.
func printLine(w io.Writer, line string) error {
	_, err := io.WriteString(w, line+"\n")
	if errors.Is(err, syscall.EPIPE) {
		return errReported // the reader has closed the pipe
	}
	if err != nil {
		return &outputError{err}
	}
	return nil
}
