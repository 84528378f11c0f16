package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/handfast/handfast/internal/limit"
)

// CallerOptions configures a Caller.
type CallerOptions struct {
	// URL is the URL for the requests. It must be http or https, without a user and a password.
	URL string

	// App is the ID of the application, which is sent in the requests.
	App string

	// Secret signs the requests like those of [JSON]. If Secret is empty, the requests are not signed.
	Secret []byte

	// Timeout is the timeout of a call, including the wait for other calls. 0 means one second.
	Timeout time.Duration

	// InFlight is the maximum number of concurrent requests; further calls wait. 0 means 64.
	InFlight int

	// Transport sends the requests. If nil, a transport is used that verifies certificates and uses the proxy in the environment.
	Transport http.RoundTripper
}

// Call is a call of a client.
type Call struct {
	// Client is the ID of the connection, and User that of the user; User is "" for an anonymous user.
	Client, User string

	// Method is the called method, and Data its data, which may be nil.
	Method string
	Data   []byte
}

// CallError is an error in the application's answer, which is passed on to the client.
type CallError struct {
	// Code and Message describe the error. The client's protocol defines the codes.
	Code    uint32 `json:"code"`
	Message string `json:"message"`

	// Temporary reports that the same call may succeed later.
	Temporary bool `json:"temporary"`
}

// Error implements error.
func (e *CallError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

const (
	maxResult    = 1 << 20 // the maximum size of an answer to a call, in bytes
	callFailures = 5       // failures in a row before a pause
	callPause    = 5 * time.Second
)

// errCallPause is the error of calls during a pause.
var errCallPause = errors.New("webhook: the receiver of calls has failed repeatedly, so calls to it are paused")

// Caller executes the calls of clients: it sends each call to the application in a request, and returns the answer. A call is not
// repeated. After five failures in a row, calls fail for five seconds without a request. Use [NewCaller] to create one. Its methods
// may be called from any goroutine.
type Caller struct {
	o       CallerOptions
	client  *http.Client
	calls   *limit.Calls
	breaker *limit.Breaker
}

// NewCaller returns a Caller. Close must be called when it is no longer used.
func NewCaller(o CallerOptions) (*Caller, error) {
	if err := checkURL(o.URL); err != nil {
		return nil, err
	}
	o.Timeout, o.InFlight = orDefault(o.Timeout, time.Second), orDefault(o.InFlight, 64)
	return &Caller{
		o: o, client: client(o.Transport, o.InFlight, o.Timeout),
		calls: limit.NewCalls(o.InFlight, -1, o.Timeout), breaker: limit.NewBreaker(callFailures, callPause),
	}, nil
}

// Close closes idle connections to the receiver.
func (c *Caller) Close() { c.client.CloseIdleConnections() }

// callRequest is the body of a request, in the form of the RPC proxy of Centrifugo.
type callRequest struct {
	App    string          `json:"app"`
	Client string          `json:"client"`
	User   string          `json:"user"`
	Method string          `json:"method"`
	Data   json.RawMessage `json:"data,omitempty"`
	Binary []byte          `json:"b64data,omitempty"` // data that is not JSON
}

// callResponse is the body of an answer, in the form of the RPC proxy of Centrifugo.
type callResponse struct {
	Result *struct {
		Data   json.RawMessage `json:"data"`
		Binary []byte          `json:"b64data"`
	} `json:"result"`
	Error *CallError `json:"error"`
}

// Call makes a call and returns its result. A *CallError is the error in the application's answer; any other error means that no
// valid answer was received. No error contains the URL or the request.
func (c *Caller) Call(ctx context.Context, call Call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	if err := c.calls.Begin(ctx); err != nil {
		return nil, fmt.Errorf("webhook: waiting for other calls: %w", err)
	}
	defer c.calls.End()
	done, wait := c.breaker.Begin()
	if wait > 0 {
		return nil, errCallPause
	}
	answer, alive, err := c.post(ctx, call)
	done(alive)
	switch {
	case err != nil:
		return nil, err
	case answer.Error != nil:
		return nil, answer.Error
	case answer.Result == nil:
		return nil, errors.New(`webhook: the answer to a call has neither "result" nor "error"`)
	case answer.Result.Binary != nil:
		return answer.Result.Binary, nil
	}
	return answer.Result.Data, nil
}

// post makes the request. alive reports whether the receiver works, even if its answer is not valid.
func (c *Caller) post(ctx context.Context, call Call) (answer callResponse, alive bool, err error) {
	body := callRequest{App: c.o.App, Client: call.Client, User: call.User, Method: call.Method}
	if json.Valid(call.Data) {
		body.Data = call.Data
	} else {
		body.Binary = call.Data
	}
	text, err := json.Marshal(body)
	if err != nil {
		return answer, true, fmt.Errorf("webhook: encoding a call: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.URL, bytes.NewReader(text))
	if err != nil {
		return answer, true, errURL
	}
	r.Header = signed(c.o.Secret, time.Now(), text)
	res, err := c.client.Do(r)
	if err != nil {
		return answer, false, withoutURL(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, maxResult+1))
	switch {
	case err != nil:
		return answer, false, fmt.Errorf("webhook: reading the answer to a call: %w", err)
	case res.StatusCode != http.StatusOK:
		return answer, res.StatusCode < 500, fmt.Errorf("webhook: a call was answered with %d", res.StatusCode)
	case len(got) > maxResult:
		return answer, true, fmt.Errorf("webhook: the answer to a call is larger than %d bytes", maxResult)
	}
	if err := json.Unmarshal(got, &answer); err != nil {
		return answer, true, errors.New("webhook: the answer to a call is not valid JSON of the expected form")
	}
	return answer, true, nil
}

// errURL is the error for an invalid URL. It does not contain the URL, which may have a secret.
var errURL = errors.New("webhook: the URL must be http or https, with a host and without a password")

// checkURL returns an error if a URL is not valid for requests.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return errURL
	}
	return nil
}

// client returns an HTTP client that follows no redirects. If transport is nil, a transport is used that verifies certificates and
// keeps up to idle idle connections to the receiver.
func client(transport http.RoundTripper, idle int, timeout time.Duration) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: idle, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: timeout,
			MaxResponseHeaderBytes: maxResponse, ForceAttemptHTTP2: true,
		}
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// signed returns the header of a request, with its signature.
func signed(secret []byte, now time.Time, body []byte) http.Header {
	at := strconv.FormatInt(now.Unix(), 10)
	header := http.Header{"Content-Type": {"application/json"}, HeaderTimestamp: {at}}
	if len(secret) > 0 {
		header.Set(HeaderSignature, Sign(secret, at, body))
	}
	return header
}

// withoutURL returns the error of a request without its URL, which may contain a secret.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return fmt.Errorf("webhook: %w", err)
}
