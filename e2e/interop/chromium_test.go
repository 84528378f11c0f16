//go:build e2e

package interop_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/chromium"
	"github.com/handfast/handfast/websocket"
	"github.com/handfast/handfast/websocket/handshake"
)

// trusts is the flag that makes Chromium trust a certificate with the given hash of its key.
const trusts = "--ignore-certificate-errors-spki-list="

// load loads a page that prints its results on its console.
func load(t *testing.T, b *chromium.Browser, address string) {
	t.Helper()
	if fault := b.Load(address); fault != "" {
		t.Fatalf("%s: %s", address, fault)
	}
}

// pageLines reads a page's reports up to the line that ends them.
func pageLines(t *testing.T, b *chromium.Browser) []line {
	t.Helper()
	var all []line
	for {
		var l line
		if s := b.Printed(); json.Unmarshal([]byte(s), &l) != nil {
			t.Fatalf("the page printed %q", s)
		}
		all = append(all, l)
		if l.Check == "end" || l.Check == "failed" {
			return all
		}
	}
}

func TestChromiumAgainstOurServer(t *testing.T) {
	everyVariant(t, func(t *testing.T, v variant, cert certificate) {
		s := startServer(t, v, cert)
		b := chromium.Start(t, chromium.Options{Flags: []string{trusts + cert.spkiHash}})
		load(t, b, s.page+"/page#"+url.PathEscape(s.base))
		compareReported(t, v, abilities{}, pageLines(t, b))
		compareSeen(t, v, abilities{}, s.seen())
	})
}

// The server rejects a page of another origin with a response that describes the next step, and the browser reports a failure.
func TestChromiumFromAnotherOrigin(t *testing.T) {
	everyVariant(t, func(t *testing.T, v variant, cert certificate) {
		s, stranger := startServer(t, v, cert), startServer(t, v, cert)
		b := chromium.Start(t, chromium.Options{Flags: []string{trusts + cert.spkiHash}})
		load(t, b, stranger.page+"/stranger#"+url.PathEscape(s.base))
		got := pageLines(t, b)
		if want := "closed before it opened: 1006"; len(got) != 2 || got[0].Text != want {
			t.Errorf("the page reports %v, want %q", got, want)
		}
		if all := strings.Join(b.Log, "\n"); !strings.Contains(all, "Unexpected response code: 403") {
			t.Errorf("the browser logs %q, without the status", all)
		}
		r := s.seen()["echo"]
		if r.status != http.StatusForbidden || !strings.Contains(r.reply, "origin") {
			t.Errorf("our server responded with %d %q, want 403 and a text about the origin", r.status, r.reply)
		}
		var why *websocket.HandshakeError
		if !errors.As(r.err, &why) || why.Stage != handshake.StageOrigin {
			t.Errorf("Accept returned %v, want an error of stage %s", r.err, handshake.StageOrigin)
		}
	})
}
