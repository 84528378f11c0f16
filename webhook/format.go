package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/handfast/handfast/hub"
)

// Format encodes the requests. A Sender does not call it concurrently.
type Format interface {
	// Encode returns the body of a request with events, and its header fields. A nil body means that no request is sent for these
	// events. When a request is repeated, its body and header are the same.
	Encode(now time.Time, es []hub.Event) (body []byte, header http.Header, err error)
}

// The header fields of requests of [JSON].
const (
	HeaderTimestamp = "Handfast-Timestamp" // seconds since 1970, as decimal digits
	HeaderSignature = "Handfast-Signature" // as returned by Sign
)

// JSON is the format of this project: an object with the array "events". docs/webhooks.md describes it.
type JSON struct {
	// Secret signs the requests. If Secret is empty, the requests are not signed.
	Secret []byte
}

type body struct {
	Events []event `json:"events"`
}

// event is the encoded form of a hub.Event.
type event struct {
	ID      string            `json:"id"`
	Type    string            `json:"type"`
	Time    time.Time         `json:"time"`
	App     string            `json:"app"`
	Channel string            `json:"channel,omitempty"`
	Client  string            `json:"client,omitempty"`
	User    string            `json:"user,omitempty"`
	Reason  string            `json:"reason,omitempty"`
	Info    json.RawMessage   `json:"info,omitempty"`
	Data    json.RawMessage   `json:"data,omitempty"`
	Binary  bool              `json:"binary,omitempty"`
	Name    string            `json:"event,omitempty"`
	Key     string            `json:"key,omitempty"`
	Removed bool              `json:"removed,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	Epoch   string            `json:"epoch,omitempty"`
	Offset  uint64            `json:"offset,omitempty"`
	Trace   string            `json:"trace_id,omitempty"`
	Count   *int              `json:"subscribers,omitempty"`
}

// Encode implements [Format].
func (f JSON) Encode(now time.Time, es []hub.Event) ([]byte, http.Header, error) {
	all := body{make([]event, len(es))}
	for i, e := range es {
		all.Events[i] = eventOf(e)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, nil, err
	}
	return text, signed(f.Secret, now, text), nil
}

func eventOf(e hub.Event) event {
	out := event{
		ID: rand.Text(), Type: e.Kind.String(), Time: e.Time.UTC().Truncate(time.Millisecond), App: e.App, Channel: e.Channel, Client: e.Client,
		User: e.User, Reason: e.Reason,
	}
	out.Info, _ = value(e.Data, false)
	if e.Kind == hub.EventDisconnected {
		out.ID = "disconnected/" + e.App + "/" + e.Client // the ID is the same if another node reports the event
	}
	if e.Kind == hub.EventSubscriptionCount {
		out.Count = &e.Subscribers
	}
	if p := e.Publication; p != nil {
		out.Data, out.Binary = value(p.Data, p.Binary)
		out.Name, out.Key, out.Removed, out.Tags, out.Epoch, out.Offset = p.Event, p.Key, p.Removed, p.Tags, p.Epoch, p.Offset
		out.Trace = p.Trace
	}
	return out
}

// value returns data as JSON: unchanged if it is JSON, otherwise as a string, or in base64.
func value(data []byte, binary bool) (v json.RawMessage, inBase64 bool) {
	switch {
	case len(data) == 0:
		return nil, false
	case binary || !utf8.Valid(data):
		v, _ = json.Marshal(data) // encoding a []byte does not fail
		return v, true
	case json.Valid(data):
		return data, false
	}
	v, _ = json.Marshal(string(data)) // encoding a string does not fail
	return v, false
}

// Sign returns the signature of a body: the HMAC-SHA256 of the timestamp, a dot and the body, as "sha256=" and hexadecimal digits.
func Sign(secret []byte, timestamp string, body []byte) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(timestamp + "."))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// maxAge is the maximum age of a request that Verify accepts.
const maxAge = 5*time.Minute + time.Minute // requests are repeated for five minutes

// Verify reports whether a request of [JSON] was signed with secret within the last six minutes. It is for receivers that are
// written in Go.
func Verify(secret []byte, header http.Header, body []byte, now time.Time) bool {
	at := header.Get(HeaderTimestamp)
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || len(secret) == 0 || now.Sub(time.Unix(seconds, 0)).Abs() > maxAge {
		return false
	}
	return hmac.Equal([]byte(Sign(secret, at, body)), []byte(header.Get(HeaderSignature)))
}
