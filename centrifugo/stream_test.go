package centrifugo

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/internal/bounded"
)

func httpRequest(t *testing.T, method, url, contentType, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(bounded.Context(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestStreams(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s := newServer(t)
	s.Name = "node"
	base := serve(t, s, Client{Anonymous: true}, false)
	for _, c := range []struct {
		name, method, url, body string
		before, after           string // the framing of a reply
	}{
		{"http_stream", "POST", "/connection/http_stream", `{"id":1,"connect":{}}`, "", "\n"},
		{"sse", "GET", "/connection/sse?cf_connect=" + url.QueryEscape(`{"id":1,"connect":{}}`), "", "data: ", "\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := httpRequest(t, c.method, base+c.url, "application/json", c.body)
			if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Accel-Buffering") != "no" {
				t.Fatal(resp.Status, resp.Header)
			}
			in := bufio.NewReader(resp.Body)
			next := func() *protocol.Reply {
				t.Helper()
				var r protocol.Reply
				frame := ""
				for !strings.HasSuffix(frame, c.after) {
					line, err := in.ReadString('\n')
					if err != nil {
						t.Fatal(frame, err)
					}
					frame += line
				}
				text := strings.TrimSuffix(strings.TrimPrefix(frame, c.before), c.after)
				if err := json.Unmarshal([]byte(text), &r); err != nil || !strings.HasPrefix(frame, c.before) {
					t.Fatalf("%q: %v", frame, err)
				}
				return &r
			}
			first := next()
			if first.Id != 1 || first.Connect == nil || first.Connect.Session == "" {
				t.Fatalf("%+v", first)
			}
			command, _ := json.Marshal(map[string]string{"session": first.Connect.Session, "node": first.Connect.Client, "data": `{"id":2,"subscribe":{"channel":"a"}}`})
			if resp := httpRequest(t, "POST", base+"/emulation", "application/json", string(command)); resp.StatusCode != 204 {
				t.Fatal(resp.Status)
			}
			if r := next(); r.Id != 2 || r.Subscribe == nil {
				t.Errorf("%+v", r)
			}
			if status, text := call(t, base, "publish", "secret", `{"channel":"a","data":5}`); status != 200 {
				t.Error(text)
			}
			if r := next(); r.Push == nil || r.Push.Pub == nil || string(r.Push.Pub.Data) != "5" {
				t.Errorf("%+v", r)
			}
			if status, text := call(t, base, "disconnect", "secret", `{"client":"`+first.Connect.Client+`","disconnect":{"code":4501,"reason":"banned"}}`); status != 200 {
				t.Error(text)
			}
			if r := next(); r.Push == nil || r.Push.Disconnect == nil || r.Push.Disconnect.Code != 4501 || r.Push.Disconnect.Reason != "banned" {
				t.Errorf("%+v", r)
			}
			if _, err := in.ReadByte(); err == nil {
				t.Error("the response does not end")
			}
		})
	}
}

// With the content type application/octet-stream, commands and replies are in Protobuf.
func TestProtobufStream(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	base := serve(t, newServer(t), Client{Anonymous: true}, false)
	encode := func(c *protocol.Command) []byte {
		data, err := protocol.NewProtobufCommandEncoder().Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first := encode(&protocol.Command{Id: 1, Connect: &protocol.ConnectRequest{}})
	resp := httpRequest(t, "POST", base+"/connection/http_stream", "application/octet-stream", string(first))
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/octet-stream" {
		t.Fatal(resp.Status, resp.Header)
	}
	in := bufio.NewReader(resp.Body)
	next := func() *protocol.Reply {
		n, err := binary.ReadUvarint(in)
		data := make([]byte, n)
		if _, more := io.ReadFull(in, data); err != nil || more != nil {
			t.Fatal(err, more)
		}
		r, err := protocol.NewProtobufReplyDecoder(append(binary.AppendUvarint(nil, n), data...)).Decode()
		if err != nil && err != io.EOF { //nolint:errorlint // the decoder does not wrap io.EOF
			t.Fatal(err)
		}
		return r
	}
	r := next()
	if r.Id != 1 || r.Connect == nil {
		t.Fatalf("%+v", r)
	}
	e := &protocol.EmulationRequest{Session: r.Connect.Session, Node: r.Connect.Client,
		Data: encode(&protocol.Command{Id: 2, Subscribe: &protocol.SubscribeRequest{Channel: "a"}})}
	body, err := e.MarshalCF()
	if err != nil {
		t.Fatal(err)
	}
	if resp := httpRequest(t, "POST", base+"/emulation", "application/octet-stream", string(body)); resp.StatusCode != 204 {
		t.Fatal(resp.Status)
	}
	if r := next(); r.Id != 2 || r.Subscribe == nil {
		t.Errorf("%+v", r)
	}
}

// unreachableEngine is an engine that cannot reach other nodes: it fails, or blocks until its context is done.
type unreachableEngine struct {
	hub.Engine
	wait bool
}

func (e unreachableEngine) Broadcast(ctx context.Context, _ hub.Command) error {
	if !e.wait {
		return errors.New("the engine is down")
	}
	<-ctx.Done()
	return ctx.Err()
}

// A command for a connection on an unreachable node gets a 503, after the command timeout if the engine blocks.
func TestEmulationUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, wait := range []bool{false, true} {
			h := hub.New(hub.Options{Engine: unreachableEngine{hub.NewMemory().Node(), wait}})
			s := &Server{Hub: h, App: "dev"}
			w, began := httptest.NewRecorder(), time.Now()
			body := strings.NewReader(`{"session":"s","node":"n","data":"{}"}`)
			s.Emulation(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/emulation", body))
			took := time.Since(began)
			if w.Code != http.StatusServiceUnavailable || wait && took != commandTimeout || !wait && took != 0 {
				t.Errorf("wait %v: %d after %v", wait, w.Code, took)
			}
			h.Close()
		}
	})
}

// Invalid requests are rejected.
func TestRefusedStreams(t *testing.T) {
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	base := serve(t, newServer(t), Client{Anonymous: true}, false)
	long := strings.Repeat("x", maxBody+maxBody/2+1)
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
	}{
		{"GET", "/connection/http_stream", "", "", 405}, {"POST", "/connection/http_stream", "", long, 413},
		{"GET", "/connection/sse", "", "", 400}, {"POST", "/connection/sse?cf_connect={}", "", "", 400},
		{"GET", "/connection/sse?cf_connect=" + long[:maxBody+1], "", "", 400},
		{"GET", "/emulation", "", "", 405}, {"POST", "/emulation", "", long, 413}, {"POST", "/emulation", "", "{", 400},
		{"POST", "/emulation", "", `{"session":"s","data":"x"}`, 400}, {"POST", "/emulation", "", `{"node":"n","data":"x"}`, 400},
		{"POST", "/emulation", "application/octet-stream", `{"session":"s","node":"n","data":"x"}`, 400},
		{"POST", "/emulation", "", `{"session":"s","node":"n","data":"x"}`, 204}, // the connection may be on another node
		{"GET", "/api/info", "", "", 401},
	} {
		resp := httpRequest(t, c.method, base+c.path, c.contentType, c.body)
		if allow := resp.Header.Get("Allow"); resp.StatusCode != c.status || (allow == "POST") != (c.status == 405) {
			t.Errorf("%s %.60s %.60s: %s, Allow: %q", c.method, c.path, c.body, resp.Status, allow)
		}
	}
}
