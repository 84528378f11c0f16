package webhook_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/webhook"
)

// Verify accepts only signatures that Sign has returned, with a recent time.
func FuzzVerify(f *testing.F) {
	secret, now := []byte("secret"), time.Unix(1_800_000_000, 0)
	for _, at := range []string{"1800000000", "1799999640", "1800000361", "+1800000000", "9223372036854775807", "-1", ""} {
		f.Add(at, webhook.Sign(secret, at, []byte("{}")), []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, at, signature string, body []byte) {
		for _, s := range []string{signature, webhook.Sign(secret, at, body)} {
			header := http.Header{}
			header.Set(webhook.HeaderTimestamp, at)
			header.Set(webhook.HeaderSignature, s)
			if !webhook.Verify(secret, header, body, now) {
				continue
			}
			if s != webhook.Sign(secret, at, body) {
				t.Errorf("%q is accepted", s)
			}
			if digits := strings.TrimLeft(strings.TrimPrefix(at, "+"), "0"); !strings.HasPrefix(digits, "1800000") && !strings.HasPrefix(digits, "1799999") {
				t.Errorf("%q is accepted", at)
			}
		}
	})
}

// A call arrives unchanged and signed; any response leads to a result, or to an error that does not contain the URL.
func FuzzCaller(f *testing.F) {
	f.Add([]byte(`{"a":1}`), 200, `{"result":{"data":{"b":2}}}`)
	f.Add([]byte("\xff"), 200, `{"result":{"b64data":"AAE="}}`)
	f.Add([]byte(nil), 200, `{"error":{"code":404,"message":"no","temporary":true}}`)
	f.Add([]byte("1"), 503, "")
	f.Fuzz(func(t *testing.T, data []byte, status int, answer string) {
		app := roundTripFunc(func(r *http.Request, body string) (int, string, error) {
			if !webhook.Verify([]byte(callSecret), r.Header, []byte(body), time.Now()) {
				t.Error("not signed")
			}
			var got struct {
				Data   json.RawMessage `json:"data"`
				Binary []byte          `json:"b64data"`
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Error(err)
			}
			var want bytes.Buffer
			switch compact := json.Compact(&want, data); {
			case compact != nil || len(data) == 0:
				if !bytes.Equal(got.Binary, data) || len(got.Data) > 0 {
					t.Errorf("%q arrives as %q", data, body)
				}
			case len(got.Binary) > 0:
				t.Errorf("%q arrives as %q", data, body)
			}
			return status, answer, nil
		})
		result, err := newCaller(t, app).Call(t.Context(), webhook.Call{Client: "c", User: "ann", Method: "add", Data: data})
		if err != nil && (result != nil || strings.Contains(err.Error(), callSecret) && !strings.Contains(answer, callSecret)) {
			t.Errorf("%q, %v", result, err)
		}
	})
}
