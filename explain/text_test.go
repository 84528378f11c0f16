package explain

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/websocket/frame"
)

var rewrite = flag.Bool("rewrite", false, "write the texts in testdata anew, instead of comparing")

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is otherwise; -rewrite writes it anew, read the diff then\n%s", path, difference(got, string(want)))
	}
}

// difference returns the first line that differs in got and want.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	some := func(lines []string) string { return strings.Join(lines[n:min(n+5, len(lines))], "\n\t") }
	return fmt.Sprintf("from line %d on:\n\t%s\nwant:\n\t%s", n+1, some(a), some(b))
}

// The texts of complete runs are compared with files. The servers are in memory, and the runs are in a synctest bubble, where time is
// deterministic.
func TestText(t *testing.T) {
	for _, c := range []struct {
		file  string
		url   string
		opts  func(*Options)
		width int
		color bool
		serve func(*exchange)
	}{
		{file: "opened.txt", url: "ws://192.0.2.1/chat?token=hunter2secret", serve: chat, opts: func(o *Options) {
			o.Echo, o.Subprotocols = "hello", []string{"chat.v1"}
			o.Credentials.Bearer = "hunter2secret"
		}},
		{file: "opened_narrow_color.txt", url: "ws://192.0.2.1:8080/", serve: (*exchange).sendMany, width: 60, color: true,
			opts: func(o *Options) { o.NoCompression, o.NoOrigin = true, true }},
		{file: "accept_wrong.txt", url: "ws://192.0.2.1/", serve: func(v *exchange) {
			v.writeText("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: keep-alive\n" +
				"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n\n")
		}},
		{file: "status_401.txt", url: "ws://192.0.2.1/", serve: func(v *exchange) {
			v.writeText("HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Bearer realm=\"chat\", error=\"invalid_token\"\n" +
				"Set-Cookie: session=abcdef; HttpOnly\nContent-Length: 15\n\nThis is private")
		}},
		{file: "cross_site.txt", url: "ws://192.0.2.1/", opts: func(o *Options) { o.Credentials.Cookie = "sid=secretvalue" },
			serve: func(v *exchange) { v.open(""); v.respond() }},
		{file: "watch.txt", url: "ws://192.0.2.1/feed", opts: func(o *Options) { o.Watch, o.NoOriginProbes = -1, true },
			serve: feed},
	} {
		t.Run(c.file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := inMemory(t, c.serve)
				if c.opts != nil {
					c.opts(opts)
				}
				var live, after bytes.Buffer
				text := NewText(&live, &TextOptions{Color: c.color, Width: c.width})
				opts.OnBegin, opts.OnStep, opts.OnFrame = text.Begin, text.Step, text.Frame
				r := Explain(t.Context(), c.url, opts)
				fixDiagnoses(r)
				if err := text.End(r); err != nil {
					t.Fatal(err)
				}
				golden(t, c.file, live.String())
				if err := r.WriteText(&after, &TextOptions{Color: c.color, Width: c.width}); err != nil {
					t.Fatal(err)
				}
				if got := sortedLines(after.String()); opts.Watch == 0 && !slices.Equal(got, sortedLines(live.String())) {
					t.Errorf("written afterwards it is otherwise:\n%s", after.String())
				}
				for line := range strings.Lines(live.String()) {
					if n := utf8.RuneCountInString(plainText(line)); n > max(c.width, 60)+1 && c.width != 0 {
						t.Errorf("%d columns: %q", n, line)
					}
					if strings.TrimRight(line, "\n") != strings.TrimRight(line, " \n") {
						t.Errorf("a line ends in spaces: %q", line)
					}
				}
			})
		})
	}
}

// fixDiagnoses replaces each diagnosis in r with a constant. Other tests check the texts of diagnoses.
func fixDiagnoses(r *Report) {
	same := func(d *Diagnosis) {
		*d = Diagnosis{ID: d.ID, Cause: "The cause in one sentence, which is as long as such sentences are, so that it has to be broken.",
			Clause: d.Clause, Evidence: []string{"what was seen", "and what else"},
			ForOwner:  []string{"Do this, in the file of the configuration:", "    two_words \"stay as they are\";", "Then do that."},
			ForClient: []string{"Nothing."}}
	}
	if r.Diagnosis != nil {
		same(r.Diagnosis)
	}
	for i := range r.Warnings {
		same(&r.Warnings[i])
	}
}

func sortedLines(s string) []string { return slices.Sorted(strings.Lines(s)) }

// plainText removes the escape sequences for colours.
func plainText(s string) string {
	for _, code := range []string{"0", bold, dim, red, green, yellow, cyan} {
		s = strings.ReplaceAll(s, "\x1b["+code+"m", "")
	}
	return s
}

// chat is an in-memory server without a fault.
func chat(v *exchange) {
	if v.req.Header.Get("Origin") == foreignOrigin {
		v.writeText("HTTP/1.1 403 Forbidden\nContent-Length: 0\n\n")
		return
	}
	v.open("Sec-WebSocket-Protocol: chat.v1\n")
	v.send(frame.Text, "welcome, hunter2secret")
	v.respond()
}

// sendMany sends a long text, and text that would affect a terminal.
func (v *exchange) sendMany() {
	v.open("X-Long: " + strings.Repeat("long words ", 12) + "\n")
	v.send(frame.Text, "\x1b[2J\u202e"+strings.Repeat("x", 300))
	v.respond()
}

// feed is an in-memory server that sends messages in fragments and over time, and then closes the connection.
func feed(v *exchange) {
	v.open("")
	op, payload, err := v.next()
	if err != nil || op != frame.Ping {
		return
	}
	v.send(frame.Pong, payload)
	<-time.After(1500 * time.Millisecond)
	v.Write(append(frame.Append(nil, frame.Header{Opcode: frame.Text, Length: 3}), "one"...))
	v.send(frame.Continuation, " two")
	<-time.After(time.Second)
	v.send(frame.Binary, "\x00\x01\x02\xff")
	v.send(frame.Close, "\x03\xf4restart")
	v.next()
}

// The first error of the writer is kept, and nothing more is written.
func TestTextKeepsTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	w := &failing{err: broken}
	r := &Report{Steps: []Step{{Stage: StageDNS}, {Stage: StageTCP}}}
	if err := r.WriteText(w, nil); !errors.Is(err, broken) || w.calls != 1 {
		t.Errorf("%v after %d calls", err, w.calls)
	}
}

type failing struct {
	err   error
	calls int
}

func (f *failing) Write([]byte) (int, error) {
	f.calls++
	return 0, f.err
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want []string
	}{
		{"", 20, []string{""}},
		{"one two", 20, []string{"one two"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"abcdefghijklmnop", 10, []string{"abcdefghij", "klmnop"}},
		{"äöü äöü äöü", 7, []string{"äöü äöü", "äöü"}},
	} {
		if got := wrap(c.in, c.n); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d columns: %q", c.in, c.n, got)
		}
	}
}

// The last frame of a compressed message is displayed with the compressed and the inflated length.
func TestTextOfFrames(t *testing.T) {
	for want, f := range map[string]Frame{
		"7z": {Opcode: "text", Length: 7, Compressed: true}, "7→90": {Opcode: "text", Fin: true, Length: 7, Compressed: true, Inflated: 90},
		"1000 bye": {Opcode: "close", Fin: true, Code: 1000, Preview: "bye"}, "text…": {Opcode: "text"}, "→": {Sent: true, Opcode: "ping", Fin: true},
	} {
		var b strings.Builder
		NewText(&b, nil).frame(f)
		if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "…") != (!f.Fin) {
			t.Errorf("%q, want %q", b.String(), want)
		}
	}
	var b strings.Builder
	x := NewText(&b, nil)
	x.todo("Title", nil)
	if b.String() != "" {
		t.Errorf("%q", b.String())
	}
	x.todo("Title", []string{"first", inset + "a line", "second"})
	if got := b.String(); got != "  Title:\n    1. first\n           a line\n    2. second\n" {
		t.Errorf("%q", got)
	}
}
