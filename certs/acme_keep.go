package certs

import (
	"context"
	"crypto/tls"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// start starts a goroutine for each host, which obtains and renews the host's certificate.
func (a *acmeSource) start(running *sync.WaitGroup) {
	a.startOnce.Do(func() {
		for _, h := range a.hosts {
			running.Go(func() { a.maintain(h) })
		}
	})
}

// retryAll makes the goroutines of all hosts check again, and repeat failed attempts.
func (a *acmeSource) retryAll() {
	for _, h := range a.hosts {
		select {
		case h.retry <- struct{}{}:
		default:
		}
	}
}

// close closes idle connections to the CA. Later requests fail.
func (a *acmeSource) close() { a.client.CloseIdleConnections() }

// maintain obtains a host's certificate, from the cache or the CA, and checks it regularly.
func (a *acmeSource) maintain(h *acmeHost) {
	retry := acmeRetry
	for {
		wait, minWait := acmeCheckInterval, time.Duration(0)
		switch err := a.get(h); {
		case a.alive.Err() != nil:
			return
		case err != nil:
			a.fail(h, err)
			wait, minWait = retry, acmeMinRetry
			retry = min(2*retry, acmeRetryMax)
		default:
			retry = acmeRetry
			a.checkOverdue(h, time.Now())
		}
		if !a.pause(h, wait, minWait) {
			return
		}
	}
}

// pause waits for wait, or only for minWait if another attempt was requested, and reports whether to continue.
func (a *acmeSource) pause(h *acmeHost, wait, minWait time.Duration) bool {
	began := time.Now()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-a.alive.Done():
			return false
		case <-timer.C:
			return true
		case <-h.retry:
			timer.Reset(max(0, minWait-time.Since(began)))
		}
	}
}

// get calls autocert, which returns a certificate from memory, from the cache, or from the CA.
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
	if first { // autocert renews in the background, so the problem of the last renewal must be kept
		a.transport.forget(h.name)
	}
	cert, err := a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName:       h.name,
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, // requests an ECDSA key
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

// checkOverdue reports, once a day, a certificate whose renewal is overdue. autocert renews in the last third of the validity period,
// 30 days at most, and does not report why a renewal fails.
func (a *acmeSource) checkOverdue(h *acmeHost, now time.Time) {
	h.mu.Lock()
	leaf, reported := h.cert.Leaf, now.Sub(h.reportedAt) < 24*time.Hour
	h.mu.Unlock()
	if leaf.NotAfter.Sub(now) > min(leaf.NotAfter.Sub(leaf.NotBefore)/6, 15*24*time.Hour) {
		return
	}
	why := a.explain(h.name, hostError(h.name, "the CA's response is not valid"))
	err := &Error{h.name, wrapf(why.Err, "the certificate expires on %s and was not renewed",
		leaf.NotAfter.UTC().Format(time.RFC3339)), why.Hint}
	h.mu.Lock()
	h.err = err
	if !reported {
		h.reportedAt = now
	}
	h.mu.Unlock()
	if !reported {
		a.notify(Event{Kind: EventFailed, What: SubjectCertificate, Path: h.name, Old: leaf, Err: err})
	}
}

// acmeCache is the cache directory. Every new certificate passes through it, including renewed ones. After the acmeSource is closed, all
// calls fail.
type acmeCache struct {
	autocert.DirCache
	a *acmeSource
}

// Get returns the data stored under a name.
func (c acmeCache) Get(ctx context.Context, key string) ([]byte, error) {
	if err := c.a.alive.Err(); err != nil {
		return nil, err
	}
	return c.DirCache.Get(ctx, key)
}

// Put stores data. A certificate is used first, because its use does not depend on the disk.
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
		c.a.notify(Event{Kind: EventFailed, What: SubjectCertificate, Path: string(c.DirCache),
			Err: &Error{string(c.DirCache), wrapf(cause(err), "%s cannot be stored", key),
				"make the directory writable: otherwise every start requests new certificates, and the CA limits their number"}})
	}
	return err
}
