package certs

import (
	"context"
	"crypto/tls"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// start begins to keep the certificates of all hosts.
func (a *acmeSource) start(running *sync.WaitGroup) {
	a.begin.Do(func() {
		for _, h := range a.hosts {
			running.Go(func() { a.keep(h) })
		}
	})
}

// again lets what has failed be tried again.
func (a *acmeSource) again() {
	for _, h := range a.hosts {
		select {
		case h.again <- struct{}{}:
		default:
		}
	}
}

// close lets go of connections to the CA. What still wants to send over them fails.
func (a *acmeSource) close() { a.client.CloseIdleConnections() }

// keep gets a host's certificate, from the cache or the CA, and looks now and then at what has become of it.
func (a *acmeSource) keep(h *acmeHost) {
	retry := acmeRetry
	for {
		wait, rest := acmeLook, time.Duration(0)
		switch err := a.get(h); {
		case a.alive.Err() != nil:
			return
		case err != nil:
			a.fail(h, err)
			wait, rest = retry, acmeRest
			retry = min(2*retry, acmeRetryMax)
		default:
			retry = acmeRetry
			a.checkLate(h, time.Now())
		}
		if !a.pause(h, wait, rest) {
			return
		}
	}
}

// pause waits, for less time when a handshake asks, and reports whether to go on.
func (a *acmeSource) pause(h *acmeHost, wait, rest time.Duration) bool {
	began := time.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-a.alive.Done():
			return false
		case <-timer.C:
			return true
		case <-h.again:
			timer.Reset(max(0, rest-time.Since(began)))
		}
	}
}

// get asks autocert, which returns what it has, or has in its cache, or else turns to the CA.
func (a *acmeSource) get(h *acmeHost) error {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-a.alive.Done():
		return a.alive.Err()
	}
	h.mu.Lock()
	first := h.cert == nil
	h.mu.Unlock()
	if first { // else nothing is asked, and what a renewal met is worth keeping
		a.wire.forget(h.name)
	}
	cert, err := a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName:       h.name,
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, // so that it is a key of this kind
		SupportedCurves:  []tls.CurveID{tls.CurveP256},
		CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
	if err == nil {
		cert, err = leafOf(cert)
	}
	if err != nil {
		return a.explain(h.name, err)
	}
	a.use(h, cert)
	return nil
}

// checkLate reports, once a day, a certificate that should have been renewed long ago: autocert renews in the last third of
// its time, 30 days at most, and keeps to itself why it cannot.
func (a *acmeSource) checkLate(h *acmeHost, now time.Time) {
	h.mu.Lock()
	leaf, told := h.cert.Leaf, now.Sub(h.told) < 24*time.Hour
	h.mu.Unlock()
	if leaf.NotAfter.Sub(now) > min(leaf.NotAfter.Sub(leaf.NotBefore)/6, 15*24*time.Hour) {
		return
	}
	why := a.explain(h.name, hostError(h.name, "the CA's answer is not valid"))
	err := &Error{h.name, wrapf(why.Err, "the certificate ends on %s and was not renewed",
		leaf.NotAfter.UTC().Format(time.RFC3339)), why.Hint}
	h.mu.Lock()
	h.err = err
	if !told {
		h.told = now
	}
	h.mu.Unlock()
	if !told {
		a.tell(Event{Kind: EventFailed, What: SubjectCertificate, Path: h.name, Old: leaf, Err: err})
	}
}

// acmeCache is the cache directory. It sees every certificate that is put there, renewed ones among them, and is empty
// and read-only when its source is closed.
type acmeCache struct {
	autocert.DirCache
	a *acmeSource
}

// Get returns what is kept by a name.
func (c acmeCache) Get(ctx context.Context, key string) ([]byte, error) {
	if err := c.a.alive.Err(); err != nil {
		return nil, err
	}
	return c.DirCache.Get(ctx, key)
}

// Put keeps something, and takes a certificate into use first, since that does not need the disk.
func (c acmeCache) Put(ctx context.Context, key string, data []byte) error {
	if err := c.a.alive.Err(); err != nil {
		return err
	}
	h := c.a.byName[key]
	if h != nil {
		if cert, err := tls.X509KeyPair(data, data); err == nil {
			c.a.use(h, &cert)
		}
	}
	err := c.DirCache.Put(ctx, key, data)
	if err != nil && !strings.Contains(key, "+http-01") {
		c.a.tell(Event{Kind: EventFailed, What: SubjectCertificate, Path: string(c.DirCache),
			Err: &Error{string(c.DirCache), wrapf(cause(err), "%s cannot be stored", key),
				"repair the directory: without it, every start asks the CA again, which limits the requests"}})
	}
	return err
}
