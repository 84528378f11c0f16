package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certDir is the directory of a test's certificate and key files.
type certDir struct {
	t   *testing.T
	dir string
}

func (p certDir) path(name string) string { return filepath.Join(p.dir, name) }

func (p certDir) write(name string, content []byte) { write(p.t, p.path(name), content) }

func (p certDir) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// renameOver replaces a file atomically.
func (p certDir) renameOver(name string, content []byte) {
	p.write(".new", content)
	p.must(os.Rename(p.path(".new"), p.path(name)))
}

// relink atomically replaces a symbolic link.
func (p certDir) relink(link, target string) {
	p.must(os.Symlink(target, p.path(link+"_tmp")))
	p.must(os.Rename(p.path(link+"_tmp"), p.path(link)))
}

func (p certDir) pair(dir string, c issued) {
	p.write(filepath.Join(dir, "tls.crt"), c.cert)
	p.write(filepath.Join(dir, "tls.key"), c.key)
}

// After every common way of replacing certificates, the new one is served, and open connections continue.
func TestReloadFiles(t *testing.T) {
	for _, tt := range []struct {
		name      string
		cert, key string
		first     func(p certDir, c issued)
		next      func(p certDir, c issued)
	}{
		{"renamed over", "tls.crt", "tls.key", func(p certDir, c issued) { p.pair("", c) }, func(p certDir, c issued) {
			p.renameOver("tls.key", c.key)
			p.renameOver("tls.crt", c.cert)
		}},
		{"one file renamed over", "both.pem", "", func(p certDir, c issued) { p.write("both.pem", c.both()) },
			func(p certDir, c issued) { p.renameOver("both.pem", c.both()) }},
		{"written over", "both.pem", "", func(p certDir, c issued) { p.write("both.pem", c.both()) },
			func(p certDir, c issued) { p.write("both.pem", c.both()) }},
		{"a secret of Kubernetes", "tls.crt", "tls.key", func(p certDir, c issued) {
			p.pair("..2026_11_22_1", c)
			p.relink("..data", "..2026_11_22_1")
			p.must(errors.Join(os.Symlink("..data/tls.crt", p.path("tls.crt")), os.Symlink("..data/tls.key", p.path("tls.key"))))
		}, func(p certDir, c issued) {
			p.pair("..2026_11_22_2", c)
			p.relink("..data", "..2026_11_22_2")
			p.must(os.RemoveAll(p.path("..2026_11_22_1")))
		}},
		{"a link to a directory on the way", "current/tls/tls.crt", "current/tls/tls.key", func(p certDir, c issued) {
			p.pair("releases/1/tls", c)
			p.relink("current", "releases/1")
		}, func(p certDir, c issued) {
			p.pair("releases/2/tls", c)
			p.relink("current", p.path("releases/2"))
		}},
		{"links to an archive", "live/tls.crt", "live/tls.key", func(p certDir, c issued) {
			p.pair("archive/1", c)
			p.must(os.Mkdir(p.path("live"), 0o700))
			p.relink("live/tls.crt", "../archive/1/tls.crt")
			p.relink("live/tls.key", "../archive/1/tls.key")
		}, func(p certDir, c issued) {
			p.pair("archive/2", c)
			p.relink("live/tls.crt", "../archive/2/tls.crt")
			p.relink("live/tls.key", "../archive/2/tls.key")
		}},
		{"the target of a link is overwritten", "live.pem", "", func(p certDir, c issued) {
			p.write("archive/both.pem", c.both())
			p.relink("live.pem", "archive/both.pem")
		}, func(p certDir, c issued) { p.write("archive/both.pem", c.both()) }},
		{"another directory by that name", "tls/tls.crt", "tls/tls.key", func(p certDir, c issued) { p.pair("tls", c) },
			func(p certDir, c issued) {
				p.pair("tls.new", c)
				p.must(errors.Join(os.Rename(p.path("tls"), p.path("tls.old")), os.Rename(p.path("tls.new"), p.path("tls"))))
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ca := newIssuer(t)
			at := certDir{t, t.TempDir()}
			one, two, three := ca.issue([]string{"example.com"}), ca.issue([]string{"example.com"}), ca.issue([]string{"example.com"})
			tt.first(at, one)
			pair := Pair{Cert: at.path(tt.cert)}
			if tt.key != "" {
				pair.Key = at.path(tt.key)
			}
			p, reported := openProvider(t, Options{Files: []Pair{pair}, Poll: time.Hour})
			addr := echo(t, p.TLSConfig())
			client := &tls.Config{RootCAs: ca.pool(), ServerName: "example.com"}
			before := mustDial(t, addr, client)

			tt.next(at, two)
			e := reported.wait(t)
			for e.Kind == EventFailed { // the files were read between the two steps of the replacement
				e = reported.wait(t)
			}
			if e.Kind != EventLoaded || e.What != SubjectCertificate || !e.New.Equal(two.leaf) || !e.Old.Equal(one.leaf) || e.Path != pair.Cert {
				t.Fatalf("reported: %v", e)
			}
			after := mustDial(t, addr, client)
			if got := after.ConnectionState().PeerCertificates[0]; !got.Equal(two.leaf) {
				t.Errorf("a new client receives %v", got.SerialNumber)
			}
			if err := echoOnce(before); err != nil {
				t.Errorf("the open connection: %v", err)
			}

			// A change of the current files is noticed, too.
			if pair.Key == "" {
				write(t, pair.Cert, three.both())
			} else {
				write(t, pair.Cert, three.cert)
				write(t, pair.Key, three.key)
			}
			for e = reported.wait(t); e.Kind == EventFailed; {
				e = reported.wait(t)
			}
			if !e.New.Equal(three.leaf) {
				t.Errorf("the second change: %v", e)
			}
		})
	}
}

// An invalid file changes nothing, is reported once, and is used when it is fixed.
func TestReloadBroken(t *testing.T) {
	ca := newIssuer(t)
	old, next := ca.issue([]string{"example.com"}), ca.issue([]string{"example.com"})
	ended := ca.issue([]string{"example.com"}, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	later := ca.issue([]string{"example.com"}, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })
	for _, tt := range []struct {
		name  string
		spoil func(p certDir)
		path  string
		want  string
		fix   func(p certDir)
		kind  EventKind
		leaf  *x509.Certificate
	}{
		{"half written", func(p certDir) { p.write("tls.crt", next.cert[:len(next.cert)/2]) }, "tls.crt", "in the middle of a PEM block",
			func(p certDir) { p.write("tls.key", next.key); p.write("tls.crt", next.cert) }, EventLoaded, next.leaf},
		{"half a chain", func(p certDir) { p.write("tls.crt", append(next.cert, ca.pem()[:300]...)) }, "tls.crt", "in the middle of a PEM block",
			func(p certDir) { p.write("tls.key", next.key); p.write("tls.crt", append(next.cert, ca.pem()...)) }, EventLoaded, next.leaf},
		{"empty", func(p certDir) { p.write("tls.key", nil) }, "tls.key", "no private key",
			func(p certDir) { p.write("tls.key", old.key) }, EventRecovered, old.leaf},
		{"certificate without its key", func(p certDir) { p.renameOver("tls.crt", next.cert) }, "tls.key", "is not the key of",
			func(p certDir) { p.renameOver("tls.key", next.key) }, EventLoaded, next.leaf},
		{"deleted", func(p certDir) { p.must(os.Remove(p.path("tls.crt"))) }, "tls.crt", "no such file",
			func(p certDir) { p.write("tls.crt", old.cert) }, EventRecovered, old.leaf},
		{"a dangling link", func(p certDir) { p.relink("tls.crt", "nothing") }, "tls.crt", "no such file",
			func(p certDir) { p.renameOver("tls.crt", old.cert) }, EventRecovered, old.leaf},
		{"ended", func(p certDir) { p.write("tls.key", ended.key); p.write("tls.crt", ended.cert) }, "tls.crt", "expired on",
			func(p certDir) { p.write("tls.key", next.key); p.write("tls.crt", next.cert) }, EventLoaded, next.leaf},
		{"not yet valid", func(p certDir) { p.write("tls.key", later.key); p.write("tls.crt", later.cert) }, "tls.crt", "not valid before",
			func(p certDir) { p.write("tls.key", next.key); p.write("tls.crt", next.cert) }, EventLoaded, next.leaf},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := certDir{t, t.TempDir()}
			at.pair("", old)
			p, reported := openProvider(t, Options{Files: []Pair{{at.path("tls.crt"), at.path("tls.key")}}, Poll: time.Hour})
			addr := echo(t, p.TLSConfig())
			client := &tls.Config{RootCAs: ca.pool(), ServerName: "example.com"}
			before := mustDial(t, addr, client)

			tt.spoil(at)
			e := reported.wait(t)
			var fault *Error
			if e.Kind != EventFailed || !errors.As(e.Err, &fault) || fault.Path != at.path(tt.path) ||
				!strings.Contains(e.Err.Error(), tt.want) || fault.Hint == "" {
				t.Fatalf("reported: %v", e)
			}
			if err := p.Reload(); err == nil || err.Error() != e.Err.Error() {
				t.Errorf("Reload: %v", err)
			}
			if info := p.Certificates()[0]; !info.Cert.Equal(old.leaf) || info.Err == nil {
				t.Errorf("in use: %+v", info)
			}
			if got := mustDial(t, addr, client).ConnectionState().PeerCertificates[0]; !got.Equal(old.leaf) {
				t.Errorf("served: %v", got.SerialNumber)
			}
			tt.fix(at)
			for e = reported.wait(t); e.Kind == EventFailed; {
				e = reported.wait(t)
			}
			if e.Kind != tt.kind || !e.New.Equal(tt.leaf) {
				t.Errorf("fixed: %v", e)
			}
			if got := mustDial(t, addr, client).ConnectionState().PeerCertificates[0]; !got.Equal(tt.leaf) {
				t.Errorf("served: %v", got.SerialNumber)
			}
			if err := errors.Join(echoOnce(before), p.Reload()); err != nil {
				t.Errorf("finally: %v", err)
			}
		})
	}
}

// On a file system that reports no changes, the files are polled.
func TestReloadPolls(t *testing.T) {
	ca := newIssuer(t)
	one, two := ca.issue([]string{"example.com"}), ca.issue([]string{"example.com"})
	path := write(t, filepath.Join(t.TempDir(), "both.pem"), one.both())
	_, reported := openProvider(t, Options{Files: []Pair{{Cert: path}}, Poll: 5 * time.Millisecond, unwatched: true})
	write(t, path+".new", two.both())
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if e := reported.wait(t); e.Kind != EventLoaded || !e.New.Equal(two.leaf) {
		t.Errorf("reported: %v", e)
	}
}

// A certificate is used when it becomes valid, although its file does not change any more.
func TestReloadUsesCertificateOnceValid(t *testing.T) {
	ca := newIssuer(t)
	start := time.Now()
	one := ca.issue([]string{"example.com"})
	two := ca.issue([]string{"example.com"}, func(c *x509.Certificate) { c.NotBefore = start.Add(time.Hour) })
	path := write(t, filepath.Join(t.TempDir(), "both.pem"), one.both())
	now := start
	p, _ := openProvider(t, Options{Files: []Pair{{Cert: path}}, Poll: time.Hour, unwatched: true, now: func() time.Time { return now }})
	write(t, path, two.both())
	if err := p.Reload(); err == nil || !strings.Contains(err.Error(), "not valid before") {
		t.Fatalf("too early: %v", err)
	}
	now = start.Add(time.Hour + time.Second)
	if err := p.Reload(); err != nil || !p.Certificates()[0].Cert.Equal(two.leaf) {
		t.Errorf("then: %v", err)
	}
}

// After Close the watch ends, and servers continue.
func TestCloseLeavesServers(t *testing.T) {
	ca := newIssuer(t)
	one, two := ca.issue([]string{"example.com"}), ca.issue([]string{"example.com"})
	path := write(t, filepath.Join(t.TempDir(), "both.pem"), one.both())
	p, reported := openProvider(t, Options{Files: []Pair{{Cert: path}}})
	addr := echo(t, p.TLSConfig())
	p.Close()
	p.Close()
	write(t, path, two.both())
	c := mustDial(t, addr, &tls.Config{RootCAs: ca.pool(), ServerName: "example.com"})
	if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(one.leaf) || len(reported) > 0 {
		t.Errorf("served %v, %d events", got.SerialNumber, len(reported))
	}
}
