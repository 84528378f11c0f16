package cli

import "testing"

// The next step after an almost correct command line names a similar command or flag, the flag for a value that was given as an
// argument, or the missing argument.
func TestUsageSteps(t *testing.T) {
	state(t)
	const url = "ws://127.0.0.1:1/"
	for _, tt := range []struct{ args, want string }{
		{"sevre --listen :1", "did you mean handfast serve?"},
		{"xyz", "unknown command \"xyz\" for \"handfast\"\n  next step: see handfast --help\n"},
		{"balance statsu", "did you mean handfast balance status?"},
		{"balance 127.0.0.1:9001", "name the servers with --to: handfast balance --to 127.0.0.1:9001"},
		{"balance --config x.yaml", "handfast serve --config FILE"},
		{"serve --port 80", "did you mean --listen?"},
		{"serve --hst a", "did you mean --host?"},
		{"dial --compression " + url, "did you mean --compress?"},
		{"balance --upstream a", "did you mean --to?"},
		{"config doc listen tls", "with a dot: handfast config doc listen.tls"},
		{"config init x.yaml", "to write to a file: --output x.yaml"},
		{"publish", "name a channel: handfast publish chat hello"},
		{"publish chat hello world", "quote data that has spaces in it"},
		{"dial " + url + " hello", "echo hello | handfast dial URL"},
		{"dial ws:/localhost:1", "write ws://localhost:1\n"},
		{"dial wss//localhost", "write wss://localhost\n"},
		{"dial --bearer @none " + url, "give the path of an existing file"},
		{"cert show localhost", "write HOST:PORT, such as localhost:443"},
		{"token password alice hunter2", "reads the password from standard input\n  next step: printf"},
		{"token apikey a/b", "write an ID such as ci"},
		{"token jwt --sub a", "head -c 32 /dev/urandom"},
		{"serve --tls files --cert none --key none", "handfast: --cert \"none\": \"/"},
		{"serve --listen localhost:0 --tls files --cert none --key none", "handfast: --key \"none\": \"/"},
		{"serve --app a:b:hunter2 --app a:c:hunter2", "handfast: --app: another application has the id \"a\"\n"},
	} {
		wantUsageError(t, tt.args, tt.want)
	}
}
