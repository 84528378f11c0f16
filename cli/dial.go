package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// maxLine bounds a line of standard input, and a message that becomes a line of standard output. With --binary messages
// stream through, and nothing bounds them.
const maxLine = 16 << 20

// dialFlags is what the command line says about a connection.
type dialFlags struct {
	headers      []string
	subprotocols []string
	origin       string
	insecure     bool
	cacert       string
	cert         string
	key          string
	binary       bool
	json         bool
	http         choice
	compress     bool
	ping         time.Duration
	wait         time.Duration
}

func newDial(sys *System) *cobra.Command {
	f := dialFlags{http: choice{"1.1", []string{"1.1", "2", "3"}}}
	cmd := &cobra.Command{
		Use:   "dial URL",
		Short: "Talk to a WebSocket server",
		Long: `Opens a WebSocket. Lines from standard input become text messages, messages become
lines on standard output. The URL begins with wss://, ws://, https:// or http://.

At the end of the input it waits until the server has answered a ping, so that all
answers which a server sends in order are printed, closes with 1000 and exits 0; for
a server that answers later, --wait goes on reading. A handshake that failed, a server
that closed with a code other than 1000 or 1001, or one that stops in the middle of a
message, exits 1 and says why.

Lines and messages may have 16 MiB; a line may end in CR LF. With --binary standard
input goes out as binary messages, cut wherever it arrives, and payloads come to
standard output as they are, of any size and without line ends.

On a terminal Ctrl-D and Ctrl-C close with 1000, and a line has 4096 characters at
most. Characters of a message that would steer the terminal are shown as escapes.

Trust: the system's certificate authorities, and the development CA of "handfast
serve" on this machine, which can vouch for localhost and this host's name only.`,
		Example: `  handfast dial wss://localhost:8443/echo
  echo hello | handfast dial wss://localhost:8443/echo
  handfast dial -H "Authorization: Bearer $TOKEN" --subprotocol chat.v1 wss://example.com/chat
  handfast dial --wait 1m wss://example.com/feed </dev/null
  handfast dial --binary wss://localhost:8443/echo <in.bin >out.bin`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("", "dial takes one URL, not %d", len(args))
			}
			return nil
		},
		ValidArgsFunction: cobra.FixedCompletions([]string{"wss://", "ws://"},
			cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace),
		RunE: run(func(cmd *cobra.Command, args []string) error { return dial(cmd.Context(), sys, &f, args[0]) }),
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.headers, "header", "H", nil, "add a `header` to the request, \"Name: value\"; may be repeated")
	flags.StringSliceVar(&f.subprotocols, "subprotocol", nil, "offer a subprotocol by `name`; may be repeated, the preferred one first")
	flags.StringVar(&f.origin, "origin", "", "send this Origin, as a browser does for a page of https://example.com")
	flags.BoolVar(&f.insecure, "insecure", false, "accept any certificate: an attacker on the path can read and change everything")
	flags.StringVar(&f.cacert, "cacert", "", "trust the authorities in this PEM `file`, and no other")
	flags.StringVar(&f.cert, "cert", "", "show the server this client certificate, a PEM `file`")
	flags.StringVar(&f.key, "key", "", "its private key, a PEM `file`; may lie in the file of --cert")
	flags.BoolVar(&f.binary, "binary", false, "raw bytes in and out, as binary messages")
	flags.BoolVar(&f.json, "json", false, `print messages as {"type":"text","data":"…"}; the data of binary ones in base64`)
	flags.Var(&f.http, "http", "the HTTP version of the handshake; 2 and 3 are not available yet")
	flags.BoolVar(&f.compress, "compress", false, "offer compression (permessage-deflate); the server may decline")
	flags.DurationVar(&f.ping, "ping", 25*time.Second, "ping a silent server this often, give up after two; 0 is never")
	flags.DurationVar(&f.wait, "wait", 0, "go on reading this long after the end of the input")
	complete(cmd, map[string][]string{
		"http": f.http.allowed, "ping": {"10s", "25s", "0"}, "wait": {"1s", "10s", "1m"},
		"header": {}, "subprotocol": {}, "origin": {},
	})
	return cmd
}

// options checks the flags and turns them into the library's.
func (f *dialFlags) options(sys *System) (*websocket.DialOptions, error) {
	switch {
	case f.http.value != "1.1":
		return nil, usagef("leave --http out", "--http %s: WebSocket over HTTP/%s is not available yet", f.http.value, f.http.value)
	case f.ping < 0 || f.wait < 0:
		return nil, usagef("", "--ping and --wait take no negative time")
	case f.binary && f.json:
		return nil, usagef("", "--binary and --json exclude each other")
	case f.binary && terminal(sys.Stdout) != nil:
		return nil, usagef("write it to a file or a pipe: --binary >FILE", "--binary would write raw bytes to the terminal")
	case f.insecure && f.cacert != "":
		return nil, usagef("leave one of them out", "--insecure checks no certificate, so --cacert has no use")
	case f.key != "" && f.cert == "":
		return nil, usagef("add --cert FILE", "--key needs the certificate that it belongs to")
	}
	header, err := parseHeaders(f.headers)
	if err != nil {
		return nil, err
	}
	if err := handshake.CheckSubprotocols(f.subprotocols); err != nil {
		return nil, usagef("write --subprotocol once for each name, without spaces", "--subprotocol: %v", err)
	}
	if f.origin != "" {
		if _, ok := handshake.ParseOrigin(f.origin); !ok {
			return nil, usagef("write scheme and host, and the port if it is not the usual one: https://example.com",
				"--origin %s is not a web origin", strconv.Quote(f.origin))
		}
		header.Set("Origin", f.origin)
	}
	tls, err := f.tlsConfig(sys)
	if err != nil {
		return nil, err
	}
	opts := &websocket.DialOptions{
		Header:       header,
		Subprotocols: f.subprotocols,
		TLS:          tls,
		Conn:         websocket.ConnOptions{MaxMessage: maxLine, PingInterval: f.ping},
	}
	if f.ping == 0 {
		opts.Conn.PingInterval = -1 // never
	}
	if f.binary {
		opts.Conn.MaxMessage = -1 // no bound: nothing is held
	}
	if f.compress {
		opts.Conn.Compression = &websocket.Compression{}
	}
	return opts, nil
}

// parseHeaders turns "Name: value" into headers. A value may be a secret, so it is never repeated.
func parseHeaders(lines []string) (http.Header, error) {
	header := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		switch {
		case !strings.Contains(line, ":") || handshake.CheckFields(http.Header{name: nil}) != nil && !handshake.Reserved(name):
			return nil, usagef(`write -H "Name: value"`, "-H takes the name of a header, a colon and a value")
		case strings.EqualFold(name, "Sec-WebSocket-Protocol"):
			return nil, usagef("write --subprotocol NAME", "-H: the header %s belongs to the handshake", name)
		case handshake.Reserved(name):
			return nil, usagef("leave it out: handfast sends it by itself", "-H: the header %s belongs to the handshake", name)
		case strings.EqualFold(name, "Host") && !handshake.ValidHost(value):
			return nil, usagef(`write -H "Host: example.com", with a port if there is one`, "-H: the Host header is not one host")
		case handshake.CheckFields(http.Header{name: {value}}) != nil:
			return nil, usagef("write the value on one line", "-H: the value of header %s has a control character in it", name)
		}
		header.Add(name, value)
	}
	return header, nil
}

// dial opens a connection, carries messages and closes it.
func dial(ctx context.Context, sys *System, f *dialFlags, raw string) error {
	shown, err := checkURL(raw)
	if err != nil {
		return err
	}
	opts, err := f.options(sys)
	if err != nil {
		return err
	}
	conn, err := connect(ctx, sys, raw, opts)
	if err != nil {
		return dialError(shown, err, sentBy(raw, opts))
	}
	defer conn.CloseNow()
	s := &session{conn: conn, w: sys.Stdout, wait: f.wait, signals: sys.Signals}
	in, out := terminal(sys.Stdin), terminal(sys.Stdout)
	switch {
	case f.binary:
		s.in, s.out = &chunks{r: sys.Stdin}, rawOutput()
	case in != nil && out != nil && sys.Getenv("TERM") != "dumb":
		c, err := openConsole(sys, in, out)
		if err != nil {
			return err
		}
		defer c.leave()
		p := newPaint(sys, out)
		s.in, s.w, s.leave = c, c, c.leave
		s.out = lineOutput(c.format(p, f.json))
		s.say = func(text string) { fmt.Fprintln(c, p.dim(text)) }
		s.tell("connected to " + describeConn(shown, conn.Handshake()) + "; Ctrl-D closes")
	default:
		s.in, s.out = newLines(sys.Stdin), lineOutput(newFormat(f.json, out != nil))
	}
	return s.run(ctx)
}

// connect is websocket.Dial that a signal ends.
func connect(ctx context.Context, sys *System, url string, opts *websocket.DialOptions) (*websocket.Conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-sys.Signals:
			cancel(errInterrupted)
		case <-done:
		}
	}()
	conn, err := websocket.Dial(ctx, url, opts)
	close(done)
	<-watched
	if err == nil && ctx.Err() != nil { // the signal came, but too late for the handshake
		_ = conn.Close(websocket.CodeNormal, "") // an error says that the server did not answer: no matter
		return nil, context.Cause(ctx)
	}
	return conn, err
}

// describeConn says what a connection runs over: "wss://localhost:8443/echo (HTTP/1.1, TLS 1.3, subprotocol chat.v1)".
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

// dialError says why there is no connection. The library's next step speaks of its options; here it is flags.
func dialError(shown string, err error, sent *sent) error {
	if errors.Is(err, errInterrupted) {
		return errInterrupted
	}
	var e *websocket.HandshakeError
	if !errors.As(err, &e) || e.Err == nil {
		return fmt.Errorf("no WebSocket at %s: %w", shown, err)
	}
	return &handshakeFailure{shown, e, sent}
}

// handshakeFailure is a HandshakeError whose details are printed in lines of their own.
type handshakeFailure struct {
	shown string
	err   *websocket.HandshakeError
	sent  *sent
}

func (e *handshakeFailure) Error() string {
	return "no WebSocket at " + e.shown + ": " + strings.TrimPrefix(e.err.Err.Error(), "websocket: ")
}
func (e *handshakeFailure) Unwrap() error    { return e.err }
func (e *handshakeFailure) NextStep() string { return handshakeStep(e.err, e.sent) }
