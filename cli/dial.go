package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/websocket"
)

// maxLine is the maximum size of a line of standard input, and of a message that is written as a line. With --binary messages are
// streamed, and their size is not limited.
const maxLine = 16 << 20

func newDial(sys *System) *cobra.Command {
	f := dialFlags{http: choice{"1.1", []string{"1.1", "2", "3"}}}
	cmd := &cobra.Command{
		Use:   "dial URL",
		Short: "Connect to a WebSocket server",
		Long: `Opens a WebSocket. Lines of standard input are sent as text messages, and received messages
are printed as lines on standard output. The URL begins with wss://, ws://, https:// or
http://.

At the end of the input dial pings the server, and reads until the pong has arrived and the
server has been quiet for at least 0.3 seconds, longer on a slow path; then it closes with
1000 and exits 0. --wait reads for a fixed time instead, for servers that answer later. It
exits 1 and prints the reason if the handshake fails, or if the server closes with a code
other than 1000 or 1001, stops in the middle of a message, or still sends after 30 seconds.

Lines and messages may have 16 MiB; a line may end in CR LF. With -0 messages end in NUL
bytes, so that they can contain newlines. With --jsonl each line is a JSON object, as
{"type":"text","data":"hello"} or {"type":"binary","data":"aGVsbG8="}. With --binary
standard input is sent as binary messages of any length, and received payloads are written to
standard output unchanged, of any size and without newlines.

On a terminal a typed line may have 1 MiB, and Ctrl-D and Ctrl-C close with 1000. Lines that
begin with a slash are commands: /ping, /close [CODE [REASON]], /help. //text sends /text.
Control characters in a message are shown as escapes, and its second and further lines begin
with "| ".

With --reconnect a message that could not be written is sent again over the next
connection; messages in transit are lost with their connection.

A credential is given as the value itself, which other users of this machine may see in the
process list, or as @FILE or env:NAME.

dial trusts the system's certificate authorities, and the development CA of "handfast serve"
on this machine, which can sign for localhost and this host's name only.`,
		Example: `  handfast dial wss://localhost:8443/echo
  echo hello | handfast dial wss://localhost:8443/echo
  handfast dial --bearer env:TOKEN --subprotocol chat.v1 wss://example.com/chat
  handfast dial --wait 1m wss://example.com/feed </dev/null
  handfast dial --reconnect --wait 24h wss://example.com/feed </dev/null >>feed.log
  handfast dial --proxy socks5://127.0.0.1:1080 --timeout 5s wss://example.com/chat
  handfast dial --binary wss://localhost:8443/echo <in.bin | cmp - in.bin`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("handfast dial wss://localhost:8443/echo", "dial takes one URL, and there is none")
			case len(args) > 1:
				return usagef("messages are lines of standard input: echo hello | handfast dial URL", "dial takes one URL, and no other arguments")
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions([]string{"wss://", "ws://"},
			cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace),
		RunE: run(func(cmd *cobra.Command, args []string) error { return dial(cmd.Context(), sys, &f, args[0]) }),
	}
	f.define(cmd)
	return cmd
}

// describeConn describes a connection: "wss://localhost:8443/echo (HTTP/1.1, TLS 1.3, subprotocol chat.v1)".
func describeConn(shown string, hs *websocket.Handshake) string {
	parts := []string{hs.Proto}
	if hs.TLS != nil {
		parts = append(parts, tlsVersion(hs.TLS.Version))
	}
	if hs.Subprotocol != "" {
		parts = append(parts, "subprotocol "+hs.Subprotocol)
	}
	if hs.Extensions != "" {
		parts = append(parts, hs.Extensions)
	}
	return fmt.Sprintf("%s (%s)", shown, strings.Join(parts, ", "))
}
