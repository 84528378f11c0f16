package protocol

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the Machine does into the transcripts, instead of comparing")

const transcripts = "../testdata/transcripts"

// transcript is one case of a transcript file. The README.md in the same directory describes the format.
type transcript struct {
	clause string // "RFC 6455 §5.5.1"
	name   string
	where  string // file:line, for error messages
	session
	edges  []int // offsets in the stream at which a frame or its payload begins
	want   string
	answer [2]int // first and last line of want in the file
}

// readTranscripts parses a transcript file. It also returns the file's lines.
func readTranscripts(t testing.TB, path string) ([]*transcript, []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	var all []*transcript
	var c *transcript // the current case; nil between cases
	clause, answering := "", false
	for i, line := range lines {
		where := fmt.Sprintf("%s:%d", filepath.Base(path), i+1)
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case answering && word != "":
			c.want += line + "\n"
			c.answer[1] = i + 1
		case word == "":
			if c != nil && answering {
				c, answering = nil, false
			}
		case strings.HasPrefix(word, "#"):
		case word == "clause":
			clause = rest
		case word == "case":
			c = &transcript{clause: clause, name: rest, where: where}
			all = append(all, c)
		case c == nil:
			t.Fatalf("%s: %q is outside a case", where, line)
		case word == "----":
			answering = true
			c.answer = [2]int{i + 1, i + 1}
		default:
			if err := c.line(word, rest); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
		}
	}
	for _, c := range all {
		if c.answer[0] == 0 || !regexp.MustCompile(`^RFC \d+ §[\d.]+$`).MatchString(c.clause) {
			t.Fatalf("%s: a case needs a clause, and an outcome after ----", c.where)
		}
	}
	return all, lines
}

// line parses one line of a case's input.
func (c *transcript) line(word, rest string) error {
	var b []byte
	var err error
	switch word {
	case "role":
		if rest != "client" && rest != "server" {
			return fmt.Errorf("unknown role: %q", rest)
		}
		c.client = rest == "client"
	case "compressed":
		c.compressed = true
	case "relay":
		c.relay = true
	case "limits":
		c.limits = new(Limits)
		for w := range strings.FieldsSeq(rest) {
			name, value, _ := strings.Cut(w, "=")
			n, err := strconv.Atoi(value)
			switch {
			case err != nil:
				return err
			case name == "message":
				c.limits.MaxMessage = int64(n)
			case name == "fragments":
				c.limits.Fragments = n
			default:
				return fmt.Errorf("unknown limit: %q", name)
			}
		}
	case "send":
		words, err := splitWords(rest)
		if err != nil || len(words) < 2 || words[0] != "close" {
			return fmt.Errorf("only a close frame can be sent: %q", rest)
		}
		code, err := strconv.ParseUint(words[1], 10, 16)
		if err != nil {
			return err
		}
		var reason []byte
		if len(words) > 2 {
			if reason, err = parseBytes(words[2]); err != nil {
				return err
			}
		}
		c.sends = append(c.sends, localClose{len(c.stream), uint16(code), string(reason)})
	case "in":
		b, err = encodeFrame(rest)
	case "bytes":
		var words []string
		words, err = splitWords(rest)
		for _, w := range words {
			p, bad := parseBytes(w)
			b, err = append(b, p...), errors.Join(err, bad)
		}
	case "hex":
		b, err = hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
	default:
		return fmt.Errorf("unknown directive: %q", word)
	}
	if err == nil && len(b) > 0 {
		c.edges = append(c.edges, len(c.stream), min(len(c.stream)+14, len(c.stream)+len(b)))
		c.stream = append(c.stream, b...)
	}
	return err
}

// TestTranscripts runs every case with its input in one piece and with every split, and compares the outcome with the file. With
// -rewrite it updates the outcomes in the files. Read the diff before you commit it.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob(transcripts + "/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	clauses := map[string][]*transcript{}
	names := map[string]string{}
	for _, path := range files {
		all, lines := readTranscripts(t, path)
		if *rewrite {
			rewriteAnswers(t, path, all, lines)
		}
		for _, c := range all {
			if before, ok := names[c.clause+c.name]; ok {
				t.Errorf("%s: the case at %s has the same name", c.where, before)
			}
			names[c.clause+c.name] = c.where
			clauses[c.clause] = append(clauses[c.clause], c)
		}
	}
	asName := strings.NewReplacer(" ", "", "§", "_", ".", "_")
	for clause, cases := range clauses {
		t.Run(asName.Replace(clause), func(t *testing.T) {
			t.Parallel()
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { c.run(t) })
			}
		})
	}
}

func (c *transcript) run(t *testing.T) {
	whole := drive(t, c.session)
	if got := whole.text(); got != c.want && !*rewrite {
		t.Fatalf("%s: the outcome is\n%sbut the transcript has\n%s", c.where, got, c.want)
	}
	points := c.cutPoints()
	for _, i := range points {
		equivalent(t, whole, drive(t, c.session, i), fmt.Sprintf("cut at %d", i))
	}
	equivalent(t, whole, drive(t, c.session, points...), "cut at every one of these points")
	if len(c.stream) > 64 {
		return
	}
	for i := range len(c.stream) {
		for j := i + 1; j < len(c.stream); j++ {
			equivalent(t, whole, drive(t, c.session, i, j), fmt.Sprintf("cut at %d and %d", i, j))
		}
	}
}

// cutPoints returns every offset in the stream. For a stream longer than 1 KiB it returns those near the frames' headers and a few
// inside payloads, since each offset requires a run over the whole stream.
func (c *transcript) cutPoints() []int {
	var points []int
	for i := 1; i < len(c.stream); i++ {
		near := func(edge int) bool { return i-edge < 18 && edge-i < 18 }
		if len(c.stream) <= 1024 || i%4093 == 0 || len(c.stream)-i < 18 || slices.ContainsFunc(c.edges, near) {
			points = append(points, i)
		}
	}
	return points
}

// rewriteAnswers replaces the outcome of each case in the file with the outcome of the Machine.
func rewriteAnswers(t *testing.T, path string, all []*transcript, lines []string) {
	t.Helper()
	var buf bytes.Buffer
	at := 0
	for _, c := range all {
		for _, line := range lines[at:c.answer[0]] {
			buf.WriteString(line + "\n")
		}
		buf.WriteString(drive(t, c.session).text())
		at = c.answer[1]
	}
	for _, line := range lines[at:] {
		buf.WriteString(line + "\n")
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
