package webhook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/webhook"
)

// roundTripFunc is a function that responds to calls.
type roundTripFunc func(r *http.Request, body string) (status int, answer string, err error)

func (a roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, answer, err := a(r, string(body))
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

const callSecret = "hunter2"

func newCaller(t *testing.T, a roundTripFunc) *webhook.Caller {
	t.Helper()
	c, err := webhook.NewCaller(webhook.CallerOptions{
		URL: "https://app.example/rpc?key=" + callSecret, App: "shop", Secret: []byte(callSecret), Transport: a,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The application receives a signed request with the caller and the call, and its response is returned. An invalid response is an
// error that contains no secret.
func TestCaller(t *testing.T) {
	for _, tt := range []struct {
		data   string // the data of the call
		body   string // the body of the request after the method
		status int
		answer string
		want   string
		err    string
	}{
		{`{"a":1}`, `,"data":{"a":1}}`, 200, `{"result":{"data":{"b":2}}}`, `{"b":2}`, ""},
		{"", `}`, 200, `{"result":{}}`, "", ""},
		{"\xff\x00", `,"b64data":"/wA="}`, 200, `{"result":{"b64data":"AAE="}}`, "\x00\x01", ""},
		{"", `}`, 200, `{"error":{"code":404,"message":"no such thing","temporary":true}}`, "", "404: no such thing"},
		{"", `}`, 200, `{}`, "", `webhook: the answer to a call has neither "result" nor "error"`},
		{"", `}`, 200, `hello`, "", "webhook: the answer to a call is not valid JSON of the expected form"},
		{"", `}`, 200, `{"result":{"data":"` + strings.Repeat("x", 1<<20) + `"}}`, "", "webhook: the answer to a call is larger than 1048576 bytes"},
		{"", `}`, 302, ``, "", "webhook: a call was answered with 302"},
		{"", `}`, 500, `{"result":{}}`, "", "webhook: a call was answered with 500"},
	} {
		c := newCaller(t, func(r *http.Request, body string) (int, string, error) {
			if want := `{"app":"shop","client":"c1","user":"ann","method":"get"` + tt.body; body != want || r.Method != http.MethodPost {
				t.Errorf("%s %s, want %s", r.Method, body, want)
			}
			if !webhook.Verify([]byte(callSecret), r.Header, []byte(body), time.Now()) {
				t.Error("the request is not signed")
			}
			return tt.status, tt.answer, nil
		})
		got, err := c.Call(t.Context(), webhook.Call{Client: "c1", User: "ann", Method: "get", Data: []byte(tt.data)})
		if string(got) != tt.want || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%.60s: %.60q, %v", tt.answer, got, err)
		}
		if e, ok := errors.AsType[*webhook.CallError](err); ok && (e.Code != 404 || !e.Temporary) {
			t.Errorf("%#v", e)
		}
	}
	if _, err := webhook.NewCaller(webhook.CallerOptions{URL: "https://ann:" + callSecret + "@app.example"}); err == nil || strings.Contains(err.Error(), callSecret) {
		t.Errorf("a URL with a password: %v", err)
	}
}

// A receiver that stalls delays a call only until the timeout. After five failures in a row, calls fail immediately for five seconds.
func TestCallerStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, alive := 0, false
		c := newCaller(t, func(r *http.Request, _ string) (int, string, error) {
			asked++
			if alive {
				return 200, `{"result":{}}`, nil
			}
			<-r.Context().Done()
			return 0, "", context.Cause(r.Context())
		})
		call := func() (time.Duration, error) {
			begin := time.Now()
			_, err := c.Call(t.Context(), webhook.Call{Method: "m"})
			if err != nil && strings.Contains(err.Error(), callSecret) {
				t.Errorf("a secret in %v", err)
			}
			return time.Since(begin), err
		}
		for range 5 {
			if took, err := call(); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, %v", took, err)
			}
		}
		alive = true
		if took, err := call(); took != 0 || err == nil || asked != 5 {
			t.Errorf("%v, %v, %d requests", took, err, asked)
		}
		<-time.After(5 * time.Second)
		for range 2 {
			if took, err := call(); took != 0 || err != nil {
				t.Errorf("after the pause: %v, %v", took, err)
			}
		}
	})
}

// At most 64 calls are made concurrently, each call releases its slot, and there is a pause only if the receiver fails.
func TestCallerLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, status, stalls := 0, 200, false
		var mu sync.Mutex
		c := newCaller(t, func(r *http.Request, _ string) (int, string, error) {
			mu.Lock()
			asked++
			mu.Unlock()
			if stalls {
				<-r.Context().Done()
				return 0, "", context.Cause(r.Context())
			}
			return status, `{"result":{}}`, nil
		})
		call := func() error {
			_, err := c.Call(t.Context(), webhook.Call{Method: "m"})
			return err
		}
		for i := range 65 {
			if err := call(); err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		for _, tt := range []struct{ status, asked int }{{499, 7}, {500, 5}} {
			asked, status = 0, tt.status
			for range 7 {
				if call() == nil {
					t.Errorf("a call with the response %d succeeded", status)
				}
			}
			if asked != tt.asked {
				t.Errorf("%d requests when the answer is %d, want %d", asked, status, tt.asked)
			}
		}
		<-time.After(5 * time.Second)
		asked, status = 0, 200
		if err := call(); err != nil {
			t.Error(err)
		}
		asked, stalls = 0, true
		var all sync.WaitGroup
		for range 65 {
			all.Go(func() { _ = call() }) // each call fails after a second
		}
		synctest.Wait()
		mu.Lock()
		if asked != 64 {
			t.Errorf("%d concurrent calls", asked)
		}
		mu.Unlock()
		all.Wait()
	})
}

// A response may contain up to 1 MiB.
func TestCallerAnswerSize(t *testing.T) {
	for more, ok := range []bool{true, false} {
		c := newCaller(t, func(*http.Request, string) (int, string, error) {
			return 200, `{"result":{"data":"` + strings.Repeat("x", 1<<20-len(`{"result":{"data":""}}`)+more) + `"}}`, nil
		})
		if _, err := c.Call(t.Context(), webhook.Call{Method: "m"}); (err == nil) != ok {
			t.Errorf("%d bytes more: %v", more, err)
		}
	}
}
