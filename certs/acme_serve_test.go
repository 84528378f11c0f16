package certs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/bounded"
)

// Responses to the CA's challenges come from the cache, which another node may have filled, both on the TLS listener and over HTTP.
func TestACMEChallenges(t *testing.T) {
	const host = "www.example.com"
	cache := filepath.Join(t.TempDir(), "cache")
	p, _ := openProvider(t, Options{ACME: &ACME{Hosts: []string{host}, AgreeTerms: true, Cache: cache}})
	made := newIssuer(t).issue([]string{host})
	write(t, filepath.Join(cache, host+"+token"), made.both())
	write(t, filepath.Join(cache, "x+http-01"), []byte("the answer"))

	addr := echo(t, p.TLSConfig("http/1.1"))
	c := mustDial(t, addr, &tls.Config{ServerName: host, NextProtos: []string{challengeProtocol},
		InsecureSkipVerify: true}) // a challenge certificate is not signed by a trusted CA
	if s := c.ConnectionState(); s.NegotiatedProtocol != challengeProtocol || !s.PeerCertificates[0].Equal(made.leaf) {
		t.Errorf("negotiated %q", s.NegotiatedProtocol)
	}
	pair := made.pair(t)
	p.acme.use(p.acme.hosts[0], &pair)
	p.acme.use(p.acme.hosts[0], &pair)                                                    // as after a check of the cache
	for _, protocols := range [][]string{{"http/1.1", challengeProtocol}, {"http/1.1"}} { // the protocols of clients that do not request a challenge
		c := mustDial(t, addr, &tls.Config{ServerName: host, NextProtos: protocols, InsecureSkipVerify: true})
		if got := c.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
			t.Errorf("with %q: negotiated %q", protocols, got)
		}
	}

	// TLSConfig adds the protocol of challenges to those of the caller, and does not modify the caller's slice.
	offered := make([]string, 1, 4)
	offered[0] = "http/1.1"
	if got := p.TLSConfig(offered...).NextProtos; !slices.Equal(got, []string{"http/1.1", challengeProtocol}) || offered[:2][1] != "" {
		t.Errorf("protocols %q, the caller's %q", got, offered[:2])
	}

	h := p.HTTPHandler(nil)
	for target, want := range map[string]int{"/.well-known/acme-challenge/x": 200, "/.well-known/acme-challenge/y": 404, "/": 404} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://"+host+target, nil))
		if w.Code != want || want == 200 && w.Body.String() != "the answer" {
			t.Errorf("%s: %d, %q", target, w.Code, w.Body)
		}
	}
}

// Reload repeats failed attempts.
func TestReloadRepeatsACMEAttempts(t *testing.T) {
	asked := make(chan struct{}, 10)
	directory, root := badCA(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		w.WriteHeader(http.StatusTeapot)
	})
	p, _ := openProvider(t, Options{ACME: &ACME{Hosts: []string{"www.example.com"}, AgreeTerms: true, Directory: directory,
		RootFile: root, Cache: filepath.Join(t.TempDir(), "cache")}})
	for range 2 {
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.acme.hosts[0].retry) != 1 {
		t.Error("no attempt is requested, or more than one")
	}
	p.Start()
	bounded.Receive(t, asked)
}

// The events of a renewal and of a failed renewal contain the certificate that was in use.
func TestACMEEventsNameTheOldCertificate(t *testing.T) {
	a, reported := newTestSource(t, &fakeCA{reply: failing("now")})
	ca, h := newIssuer(t), a.hosts[0]
	one, two := ca.issue([]string{"www.example.com"}), ca.issue([]string{"www.example.com"})
	first, second := one.pair(t), two.pair(t)
	a.fail(h, errors.New("x"))
	a.use(h, &first)
	a.use(h, &second)
	a.fail(h, errors.New("y"))
	for i, want := range []Event{{Kind: EventFailed}, {Kind: EventLoaded, New: one.leaf},
		{Kind: EventLoaded, New: two.leaf, Old: one.leaf}, {Kind: EventFailed, Old: two.leaf}} {
		if got := reported.wait(t); got.Kind != want.Kind || got.New != want.New && !got.New.Equal(want.New) ||
			got.Old != want.Old && !got.Old.Equal(want.Old) || got.Path != h.name || got.What != SubjectCertificate {
			t.Errorf("%d: %v", i, got)
		}
	}
}

func TestLeafOf(t *testing.T) {
	made := newIssuer(t).issue([]string{"www.example.com"})
	pair := made.pair(t)
	pair.Leaf = nil
	if got, err := leafOf(&pair); err != nil || !got.Leaf.Equal(made.leaf) {
		t.Errorf("%v", err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pair.PrivateKey = key
	if _, err := leafOf(&pair); err == nil {
		t.Error("a key of another kind is accepted")
	}
	pair.Certificate = [][]byte{{0}}
	if _, err := leafOf(&pair); err == nil {
		t.Error("a file that is not a certificate is accepted")
	}
}

// A handshake waits for the first certificate of its host, for a limited time.
func TestACMEFirstHandshakeWaits(t *testing.T) {
	made := newIssuer(t).issue([]string{"www.example.com"})
	pair := made.pair(t)
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestSource(t, &fakeCA{reply: failing("now")})
		h := a.hosts[0]
		began := time.Now()
		if _, err := a.certificate(t.Context(), h.name); err == nil || time.Since(began) != acmeHandshakeWait {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.AfterFunc(time.Second, func() { a.use(h, &pair) })
		began = time.Now()
		if got, err := a.certificate(t.Context(), h.name); err != nil || got != &pair || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		a.fail(h, errors.New("late")) // the certificate in use remains in use
		if got, err := a.certificate(t.Context(), h.name); err != nil || got != &pair {
			t.Errorf("%v", err)
		}
	})
}

// A response that is truncated, or endless, is a failure like any other.
func TestACMEAnswerBreaksOff(t *testing.T) {
	reply := func(body string, length int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if length > 0 {
				w.Header().Set("Content-Length", "1000")
			}
			_, _ = w.Write([]byte(body))
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"broken off": reply("{", 1000), "huge": reply(strings.Repeat(" ", maxACMEResponse)+"{", 0),
	} {
		directory, root := badCA(t, handler)
		a, err := openACME(t.Context(), ACME{Hosts: []string{"www.example.com"}, AgreeTerms: true, Directory: directory,
			RootFile: root, Cache: filepath.Join(t.TempDir(), "cache")}, func(Event) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.get(a.hosts[0]); err == nil || !strings.Contains(err.Error(), "EOF") {
			t.Errorf("%s: %v", name, err)
		}
		a.close()
		if name == "broken off" && a.transport.last == nil {
			t.Errorf("%s: the failure is not recorded", name)
		}
	}
}

// checkCache creates the cache directory and leaves no file in it. A file at the path of the directory is an error.
func TestACMECacheIsTried(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cache")
	if err := checkCache(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	file := write(t, filepath.Join(t.TempDir(), "file"), nil)
	fault, ok := errors.AsType[*Error](checkCache(file))
	if !ok || fault.Path != file || fault.NextStep() == "" {
		t.Errorf("%v", fault)
	}
}

func TestEventString(t *testing.T) {
	ca := newIssuer(t)
	old, now := ca.issue([]string{"a.example"}).leaf, ca.issue([]string{"a.example"}).leaf
	for _, tt := range []struct {
		event Event
		want  []string
		not   string
	}{
		{Event{Kind: EventLoaded, What: SubjectCertificate, Path: "a.pem", New: now, Old: old},
			[]string{"certificate loaded: a.pem: serial ", now.NotAfter.UTC().Format(time.RFC3339), " (was "}, "<nil>"},
		{Event{Kind: EventLoaded, What: SubjectCertificate, Path: "a.pem", New: now}, []string{"serial"}, "was"},
		{Event{Kind: EventRecovered, What: SubjectCertificate, Path: "a.pem", New: now, Old: now}, []string{"serial"}, "was"},
		{Event{Kind: EventLoaded, What: SubjectTickets, Path: "keys"}, []string{"ticket keys loaded: keys"}, "serial"},
		{Event{Kind: EventFailed, What: SubjectWatch, Path: "files", Err: errors.New("no more")}, []string{"watch failed: files: no more"}, "serial"},
		{Event{Kind: EventFailed, What: SubjectCertificate, Path: "a.pem", Old: old, Err: &Error{"a.pem", errors.New("is broken"), "repair it"}},
			[]string{"certificate failed: a.pem: is broken"}, "repair"},
	} {
		got := tt.event.String()
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in %q", want, got)
			}
		}
		if strings.Contains(got, tt.not) || strings.Count(got, "a.pem") > 1 {
			t.Errorf("%q", got)
		}
	}
}

// A development certificate expires no later than its CA.
func TestLeafEndsWithItsCA(t *testing.T) {
	dir := stateDir(t)
	d := open(t, dir, "box")
	late := d.CA().NotAfter.Add(-leafLife).Add(-time.Minute)
	d, err := openDev(dir, "box", func() time.Time { return late })
	if err != nil {
		t.Fatal(err)
	}
	d.now = func() time.Time { return d.CA().NotAfter.Add(-time.Hour) }
	leaf, err := d.newLeaf(filepath.Join(t.TempDir(), "leaf.pem"))
	if err != nil || !leaf.Leaf.NotAfter.Equal(d.CA().NotAfter) {
		t.Errorf("ends %v, the CA %v: %v", leaf.Leaf.NotAfter, d.CA().NotAfter, err)
	}
	if bytes.Equal(leaf.Leaf.RawSubject, d.CA().RawSubject) {
		t.Error("the leaf has the name of its CA")
	}
}

// A certificate whose renewal is overdue is reported, with the CA's problem.
func TestACMEKeepReportsLateRenewal(t *testing.T) {
	ca := newIssuer(t)
	synctest.Test(t, func(t *testing.T) {
		made := ca.issue([]string{"www.example.com"}) // valid for 12 hours
		a, reported := newTestSource(t, &fakeCA{reply: failing("out of order")})
		write(t, filepath.Join(a.opts.Cache, "www.example.com"), made.both())
		alive, stop := context.WithCancel(t.Context())
		a.alive, a.transport.alive = alive, alive
		var running sync.WaitGroup
		a.start(&running)
		<-time.After(9 * time.Hour)
		if e := <-reported; e.Kind != EventLoaded || len(reported) != 0 {
			t.Errorf("reported: %v, and %d more", e, len(reported))
		}
		<-time.After(150 * time.Minute)
		stop()
		running.Wait()
		if len(reported) != 1 {
			t.Fatalf("%d events", len(reported))
		}
		if e := <-reported; e.Kind != EventFailed || !e.Old.Equal(made.leaf) || !strings.Contains(e.Err.Error(), "was not renewed") {
			t.Errorf("reported: %v", e)
		}
	})
}

// If a file cannot replace another one, no temporary file is left behind, and a failed write is an error.
func TestFilesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken", "by a directory")
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(filepath.Dir(path), nil); err == nil {
		t.Error("a directory was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		if err := writeFile("/dev/full", []byte("x"), 0o600); err == nil {
			t.Error("writing to a full disk succeeded")
		}
	}
}

// A file with a new fault is reported again.
func TestReloadOtherFault(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "both.pem"), newIssuer(t).issue([]string{"example.com"}).both())
	p, reported := openProvider(t, Options{Files: []Pair{{Cert: path}}, Poll: time.Hour, unwatched: true})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time nothing has changed
		if err := p.Reload(); err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%v", err)
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("%v", err)
	}
	if len(reported) != 2 {
		t.Errorf("%d events", len(reported))
	}
}

func TestOldestVersion(t *testing.T) {
	d := open(t, stateDir(t), "box")
	for opt, want := range map[uint16]uint16{0: tls.VersionTLS12, tls.VersionTLS12: tls.VersionTLS12, tls.VersionTLS13: tls.VersionTLS13} {
		p, _ := openProvider(t, Options{Dev: d, MinVersion: opt})
		if got := p.TLSConfig().MinVersion; got != want {
			t.Errorf("%#x: %#x", opt, got)
		}
	}
}
