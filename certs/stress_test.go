package certs

import (
	"crypto/tls"
	"sync"
	"testing"
	"time"
)

// Files are replaced repeatedly, in two steps each, while clients connect and resume, and all methods are called: every
// handshake uses one complete certificate, and finally the last one is served.
func TestReloadUnderLoad(t *testing.T) {
	ca, place := newIssuer(t), certDir{t, t.TempDir()}
	place.pair("", ca.issue([]string{"first.example"}))
	place.write("ca.pem", ca.pem())
	place.write("tickets", []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	p, err := Open(Options{Files: []Pair{{Cert: place.path("tls.crt"), Key: place.path("tls.key")}}, ClientAuth: ClientAuthRequired,
		ClientCAs: []string{place.path("ca.pem")}, TicketFile: place.path("tickets"), Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	addr := echo(t, p.TLSConfig())
	device := ca.issue([]string{"device"}).pair(t)
	stop := make(chan struct{})
	var running sync.WaitGroup
	for range 3 {
		running.Go(func() {
			cache := tls.NewLRUClientSessionCache(2)
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: "first.example", RootCAs: ca.pool(), ClientSessionCache: cache,
					Certificates: []tls.Certificate{device}})
				if err == nil {
					err = echoOnce(c)
					c.Close()
				}
				if err != nil {
					t.Errorf("a handshake during a change: %v", err)
					return
				}
			}
		})
	}
	running.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = p.Reload() // Reload returns an error in the middle of a change
				p.TLSConfig("h2")
				p.Certificates()
			}
		}
	})
	for range 20 {
		next := ca.issue([]string{"first.example"})
		place.renameOver("tls.key", next.key)
		place.renameOver("tls.crt", next.cert)
		place.renameOver("ca.pem", append(ca.pem(), newIssuer(t).pem()...))
	}
	last := ca.issue([]string{"first.example"})
	place.pair("", last)
	if err := p.Reload(); err != nil {
		t.Errorf("after the last change: %v", err)
	}
	close(stop)
	running.Wait()
	c := mustDial(t, addr, &tls.Config{ServerName: "first.example", RootCAs: ca.pool(), Certificates: []tls.Certificate{device}})
	if got := c.ConnectionState().PeerCertificates[0].SerialNumber; got.Cmp(last.pair(t).Leaf.SerialNumber) != 0 {
		t.Errorf("finally serves %v", got)
	}
}
