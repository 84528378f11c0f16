package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/crypto/acme"

	"github.com/handfast/handfast/internal/visible"
)

// acmeTransport sends the requests to the CA, and records information that autocert discards: why a challenge failed, and the last
// error. After Close it sends nothing.
type acmeTransport struct {
	next  http.RoundTripper
	alive context.Context // the context ends when the source is closed

	mu      sync.Mutex
	refused map[string]string // for each host, the problem that the CA reported
	kinds   map[string]string // for each host, the type of the problem (RFC 8555 §6.7)
	last    error             // the last failure of a request in the current attempt; nil means no failure
}

// maxACMEResponse limits the size of a CA's response, as package acme does. A certificate chain has a few KiB.
const maxACMEResponse = 1 << 20

// RoundTrip sends a request and reads the whole response.
func (w *acmeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := w.alive.Err(); err != nil {
		return nil, errors.New("closed")
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(w.alive, cancel)()
	resp, err := w.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		w.record("", "", err)
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxACMEResponse))
	if err != nil {
		w.record("", "", err)
		return nil, err
	}
	w.read(resp.StatusCode, body)
	copied := *resp
	copied.Body = io.NopCloser(bytes.NewReader(body))
	return &copied, nil
}

// problem is a problem document of an ACME server (RFC 8555 §6.7).
type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// read looks for problems in a response: a problem document, or a refused authorization (RFC 8555 §7.1.4).
func (w *acmeTransport) read(status int, body []byte) {
	var answer struct {
		problem
		Status     string                 `json:"status"`
		Identifier struct{ Value string } `json:"identifier"`
		Challenges []struct {
			Type  string
			Error *problem
		} `json:"challenges"`
	}
	if status < 400 && !bytes.Contains(body, []byte(`"invalid"`)) {
		return
	}
	known := json.Unmarshal(body, &answer) == nil
	switch {
	case status >= 400 && !known:
		w.record("", "", fmt.Errorf("the CA answered with %d %s", status, http.StatusText(status)))
	case status >= 400 && !strings.HasSuffix(answer.Type, ":badNonce"):
		w.record("", "", &acme.Error{StatusCode: status, ProblemType: answer.Type, Detail: answer.Detail})
	case known && answer.Identifier.Value != "":
		for _, c := range answer.Challenges {
			if c.Error != nil {
				w.record(answer.Identifier.Value, c.Error.Type, fmt.Errorf("%s: %s", c.Type, clip(c.Error.Detail)))
			}
		}
	}
}

func (w *acmeTransport) record(host, kind string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if host == "" {
		w.last = err
		return
	}
	if text := err.Error(); !strings.Contains(w.refused[host], text) {
		w.refused[host] = strings.TrimPrefix(w.refused[host]+"; "+text, "; ")
	}
	w.kinds[host] = kind
}

// forget clears the problems of a host before a new attempt.
func (w *acmeTransport) forget(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.refused, host)
	delete(w.kinds, host)
	w.last = nil
}

// explain converts an error of autocert to an Error with the problem and the next step.
func (a *acmeSource) explain(host string, err error) *Error {
	a.transport.mu.Lock()
	refused, kind, last := a.transport.refused[host], a.transport.kinds[host], a.transport.last
	a.transport.mu.Unlock()
	if refused != "" {
		return &Error{host, fmt.Errorf("the CA could not verify control of the host: %s", refused), challengeHint(kind)}
	}
	var acmeErr *acme.Error
	if !errors.As(err, &acmeErr) && last != nil {
		err = last
	}
	if errors.As(err, &acmeErr) && acmeErr.ProblemType == "" { // the response is not from an ACME server
		err = fmt.Errorf("the response is %d %s", acmeErr.StatusCode, http.StatusText(acmeErr.StatusCode))
	} else if acmeErr != nil {
		return &Error{host, fmt.Errorf("the CA refused: %s", clip(acmeErr.Detail)), problemHint(acmeErr.ProblemType)}
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return &Error{host, fmt.Errorf("the CA at %s presents a certificate from an unknown CA",
			a.opts.Directory), "name a file with the certificate of that CA as the root"}
	}
	return &Error{host, fmt.Errorf("no certificate from the CA at %s: %w", a.opts.Directory, err),
		"check the URL of the directory, and that this machine may connect to it; the request is repeated automatically"}
}

// challengeHint returns the next step for a challenge that failed with a type of problem (RFC 8555 §6.7).
func challengeHint(kind string) string {
	switch kind[strings.LastIndex(kind, ":")+1:] {
	case "dns":
		return "the name needs an A or AAAA record that points to this server"
	case "unauthorized", "incorrectResponse":
		return "the name resolves to another server: point its A and AAAA records to this one, and forward port 443 " +
			"or port 80 to it unchanged"
	case "connection", "tls", "malformed":
		return "the CA must reach this server by the host's name, on port 443 for TLS-ALPN-01 or on port 80 for HTTP-01: " +
			"check the A and AAAA records of the name, the firewall, and that no proxy in front terminates TLS"
	}
	return problemHint(kind)
}

// problemHint returns the next step for a type of problem with the account or the order (RFC 8555 §6.7).
func problemHint(kind string) string {
	switch kind[strings.LastIndex(kind, ":")+1:] {
	case "caa":
		return "the CAA record of the domain must allow this CA"
	case "unauthorized", "accountDoesNotExist":
		return "the CA rejects this account: check the external account binding, if it requires one, " +
			"or remove the account key from the cache directory"
	case "rateLimited":
		return "wait: the CA limits the number of certificates; use its staging directory for tests"
	case "externalAccountRequired":
		return "this CA requires an external account binding: copy the key ID and the key from your account there"
	case "rejectedIdentifier":
		return "this CA does not issue certificates for that name: remove the name from the hosts, or use another CA"
	case "invalidContact", "unsupportedContact":
		return "correct the email address"
	case "userActionRequired":
		return "the CA has new terms of service: read them and agree again"
	case "serverInternal":
		return "the CA has an internal problem; the request is repeated automatically"
	}
	return "check the CA's response; the request is repeated automatically"
}

// clip limits the length of a CA's text in our messages.
func clip(s string) string { return visible.Cut(s, 400) }

// wrapf adds text before an error.
func wrapf(err error, format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
