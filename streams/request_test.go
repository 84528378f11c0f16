package streams

import (
	"bytes"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
)

func TestParseReading(t *testing.T) {
	valid := formatOffset(255, "0123abcd")
	for query, want := range map[string]reading{
		"":                              {start: true},
		"offset=-1":                     {start: true},
		"offset=now":                    {tail: true},
		"offset=" + valid:               {offset: 255, tag: "0123abcd"},
		"offset=-1&live=sse&cursor=7":   {start: true, mode: readSSE, cursor: "7"},
		"offset=now&live=long-poll&x=1": {tail: true, mode: readPoll},
	} {
		q, _ := url.ParseQuery(query)
		if got, err := parseReading(q); err != nil || got != want {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
	for _, query := range []string{"offset=", "offset=0", "offset=-2", "offset=NOW", "offset=" + strings.ToUpper(valid), "offset=+" + valid,
		"offset=" + valid + "0", "offset=a&offset=b", "live=sse", "live=long-poll", "live=true&offset=-1", "offset=../../x"} {
		q, _ := url.ParseQuery(query)
		if got, err := parseReading(q); err == nil {
			t.Errorf("%q: %+v", query, got)
		}
	}
}

func TestFormattedOffsetsAreSorted(t *testing.T) {
	var all []string
	for _, n := range []uint64{0, 1, 9, 10, 255, 256, 1 << 32, math.MaxUint64} {
		all = append(all, formatOffset(n, "0123abcd"))
	}
	if !slices.IsSorted(all) {
		t.Error(all)
	}
}

func TestParseProducer(t *testing.T) {
	for text, ok := range map[string]bool{
		"p,0,0": true, "p,9007199254740991,1": true, "p,9007199254740992,1": false, "p,-1,0": false, "p,1.0,0": false, "p,,0": false,
		",0,0": false, "p,0,1e3": false, "p,0,99999999999999999999": false, "\xff,0,0": false,
	} {
		v := strings.Split(text, ",")
		_, err := parseProducer(http.Header{headerProducer: {v[0]}, headerEpoch: {v[1]}, headerNumber: {v[2]}})
		if (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := parseProducer(http.Header{headerProducer: {"p"}}); err == nil {
		t.Error("an ID alone is not a producer")
	}
}

func TestCursorsIncrease(t *testing.T) {
	now := cursorEpoch.Add(1000 * cursorInterval)
	for client, most := range map[string]string{"": "1000", "x": "1000", "999": "1000", "1000": "1180", "5000": "5180"} {
		if got := nextCursor(client, now, 0.999); len(got) != len(most) || got > most {
			t.Errorf("%q: %s, at most %s", client, got, most)
		}
	}
	for _, client := range []string{"1000", "1001", "9007199254740991"} {
		if got := nextCursor(client, now, 0); got <= client && client != "9007199254740991" {
			t.Errorf("%s comes after %s", got, client)
		}
	}
}

func TestSSELines(t *testing.T) {
	var b bytes.Buffer
	event(&b, "data", []byte(" a\r\nb\rc\n\nevent: x"))
	if got, want := b.String(), "event: data\ndata:  a\ndata:b\ndata:c\ndata:\ndata:event: x\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Parsing arbitrary requests does not panic, and parsed offsets, producers and bodies are unchanged when they are formatted again.
func FuzzRequest(f *testing.F) {
	f.Add("-1", "sse", "12", "p", "0", "1", "3600", "", "text/plain", []byte("text"))
	f.Add(formatOffset(7, "0123abcd"), "", "", "", "", "", "", "2030-01-01T00:00:00Z", "application/json", []byte(`[[1],{"a":"b"}]`))
	f.Fuzz(func(t *testing.T, offset, live, cursor, id, epoch, seq, ttl, expires, typ string, body []byte) {
		if r, err := parseReading(url.Values{"offset": {offset}, "live": {live}, "cursor": {cursor}}); err == nil && !r.start && !r.tail {
			if again := formatOffset(r.offset, r.tag); again != offset {
				t.Errorf("%q is %q", offset, again)
			}
		}
		if c := nextCursor(cursor, time.Now(), 0.5); strings.Trim(c, "0123456789") != "" {
			t.Errorf("the cursor %q", c)
		}
		h := http.Header{headerProducer: {id}, headerEpoch: {epoch}, headerNumber: {seq}, "Stream-Ttl": {ttl}, "Content-Type": {typ}}
		if p, err := parseProducer(h); err == nil {
			a := addition{producer: p, seq: "1", close: true}
			if again := producerOf(&hub.Publication{Tags: a.tags()}); again == nil || *again != *p {
				t.Errorf("%+v is %+v", p, again)
			}
		}
		parseLifetime(h) //nolint:errcheck // the test only checks that parseLifetime does not panic
		if l, err := parseLifetime(http.Header{headerExpires: {expires}}); err == nil && !l.equal(l) {
			t.Errorf("%+v", l)
		}
		parseType(h) //nolint:errcheck // the test only checks that parseType does not panic
		for _, k := range []kind{kindBinary, kindText, kindJSON} {
			ps, err := k.split(body, 64, true)
			for _, p := range ps {
				if len(p.Data) > 64 {
					t.Errorf("%d bytes", len(p.Data))
				}
			}
			if err == nil && k != kindJSON && !bytes.Equal(k.join(ps), body) {
				t.Errorf("%q is %q", body, k.join(ps))
			}
		}
	})
}

// A request for a fork is rejected, or names another stream and a part that is not negative.
func FuzzFork(f *testing.F) {
	f.Add("f", "/streams/s", "", "")
	f.Add("f", "s", "-1", "5")
	f.Add("dir/f", "/streams/dir%2Ff", "now", "00")
	f.Add("f", "/streams/%23x", formatOffset(7, "0123abcd"), "-1")
	f.Fuzz(func(t *testing.T, name, from, at, sub string) {
		h := http.Header{}
		for k, v := range map[string]string{headerFork: from, headerForkOffset: at, headerForkSub: sub} {
			h.Set(k, v)
		}
		fork, err := parseFork(h, "/streams/", name)
		if err != nil || fork == nil {
			return
		}
		if !validName(fork.Source) || fork.Source == name || fork.Sub < 0 || fork.At != at || fork.Sub > 0 && at == "" {
			t.Errorf("%q of %q: %+v", name, from, fork)
		}
	})
}

func TestParseType(t *testing.T) {
	longest := "text/" + strings.Repeat("x", maxType-len("text/"))
	for text, ok := range map[string]bool{"": true, " application/json ": true, "text": false, "text/plain; x": false, longest: true, longest + "x": false} {
		got, err := parseType(http.Header{"Content-Type": {text}})
		if (err == nil) != ok || ok && got != strings.TrimSpace(text) {
			t.Errorf("%.20q: %.20q, %v", text, got, err)
		}
	}
}

// A chunk at the end of a closed stream differs from the same chunk before the stream was closed.
func TestEtag(t *testing.T) {
	open, closed := &chunk{tag: "t", from: 16, to: 255}, &chunk{tag: "t", from: 16, to: 255, closed: true}
	if open.etag() != `"t:10:ff"` || closed.etag() != `"t:10:ff:c"` {
		t.Errorf("%s and %s", open.etag(), closed.etag())
	}
}
