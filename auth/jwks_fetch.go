package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

const (
	maxRedirects = 3
	maxFetch     = 1 << 20 // the maximum number of bytes of a response
)

// client returns a client for fetches.
func (o *FetchOptions) client() *http.Client {
	transport := o.Transport
	if transport == nil {
		t := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: o.Timeout}
		t.DisableKeepAlives = true // one request every few minutes does not justify an open connection
		t.MaxResponseHeaderBytes = 64 << 10
		transport = t
	}
	return &http.Client{Transport: transport, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		return o.checkURL(r.URL.String())
	}}
}

// checkURL checks that the response from a URL cannot be modified in transit.
func (o *FetchOptions) checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return errors.New("not of the form https://id.example.com/path")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("the scheme %s is neither https nor http", u.Scheme)
	case o.AllowHTTP || loopback(u.Hostname()):
		return nil
	}
	return errors.New("keys fetched over http can be replaced in transit; use https")
}

// loopback reports whether a host is localhost or a loopback address.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fetch fetches a small document.
func fetch(ctx context.Context, c *http.Client, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the URL is not valid")
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "handfast")
	resp, err := c.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the URL may contain a user and a password
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered with %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxFetch+1))
	if err == nil && len(data) > maxFetch {
		err = errors.New("the response is larger than 1 MiB")
	}
	return data, err
}
