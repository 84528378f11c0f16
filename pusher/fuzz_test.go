package pusher

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

// lines returns one text for each transcript: of each line that contains mark, the part after mark.
func lines(f *testing.F, mark string) (all []string) {
	f.Helper()
	files, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile("testdata/" + file.Name())
		if err != nil {
			continue // the entry is a directory
		}
		var sent strings.Builder
		for line := range strings.Lines(string(text)) {
			if _, rest, ok := strings.Cut(line, mark); ok {
				sent.WriteString(rest)
			}
		}
		all = append(all, sent.String())
	}
	return all
}

// fuzzServer returns a server with all features and no limit on messages.
func fuzzServer(f *testing.F) *Server {
	h := hub.New(hub.Options{Namespaces: Namespaces([]hub.Namespace{{History: 10}}), MaxSubscriptions: 4})
	f.Cleanup(func() { h.Close() })
	return &Server{Hub: h, Apps: testApps(), ClientEvents: true, MessagesPerSecond: -1}
}

// Arbitrary messages close a connection only with the codes for too many errors and for failed sign-ins. A line "+channel data" is
// sent as a signed subscription, "@data" as a signed sign-in, and any other line as it is.
func FuzzSession(f *testing.F) {
	for _, text := range lines(f, "> ") {
		f.Add(text)
	}
	f.Add("+private-x\n+presence-x {\"user_id\":1}\n@{\"id\":\"a\"}\n+presence-cache-x\n" +
		`{"event":"client-x","channel":"private-x","data":"x"}`)
	f.Add(`{"event":"pusher:subscribe","data":{"channel":"cache-x","since":{"epoch":"","offset":0,"socket_id":"1.2"}}}` + "\n+private-x")
	s := fuzzServer(f)
	f.Fuzz(func(t *testing.T, messages string) {
		r := s.Open(Client{Key: app.Key, Protocol: "7"})(&outbox{})
		defer r.Closed(nil)
		id := r.(*session).id
		for line := range strings.Lines(messages) {
			switch line = strings.TrimSuffix(line, "\n"); line[:min(1, len(line))] {
			case "+":
				channel, data, _ := strings.Cut(line[1:], " ")
				r := request{Channel: channel, ChannelData: data, Auth: app.Key + ":" + app.sign(channelText(id, channel, data))}
				line = string(encode(map[string]any{"event": "pusher:subscribe", "data": r}))
			case "@":
				r := request{UserData: line[1:], Auth: app.Key + ":" + app.sign(userText(id, line[1:]))}
				line = string(encode(map[string]any{"event": "pusher:signin", "data": r}))
			}
			err := r.Message(websocket.Message{Type: websocket.Text, Data: []byte(line)})
			if code := websocket.CloseCode(err); err != nil && code != CodeOverCapacity && code != CodeUnauthorized {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
		}
	})
}

// A signed API call never gets a 5xx response, nor 401 unless the input contains parameters of the signature.
func FuzzAPI(f *testing.F) {
	for _, text := range lines(f, "! ") {
		for line := range strings.Lines(text) {
			method, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			path, body, _ := strings.Cut(rest, " ")
			path, params, _ := strings.Cut(path, "?")
			f.Add(method == "POST", path, params, body)
		}
	}
	api := fuzzServer(f).API("/prefix")
	f.Fuzz(func(t *testing.T, post bool, path, params, body string) {
		method := "GET"
		if post {
			method = "POST"
		}
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		r.URL.Path = "/prefix/apps/" + app.ID + path
		r.URL.RawQuery = signedQuery(app, method, r.URL.Path, params, body, time.Now())
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code == 401 && !strings.Contains(params, "auth_") && !strings.Contains(params, "body_") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// A query never yields more parameters than it contains, and get finds each of them.
func FuzzQuery(f *testing.F) {
	f.Add("auth_key=a&B=%41&b=+&=&&c")
	f.Fuzz(func(t *testing.T, text string) {
		q := queryOf(text)
		if len(q) > strings.Count(text, "&")+1 {
			t.Errorf("%d parameters", len(q))
		}
		for _, p := range q {
			if _, ok := q.get(p.name); !ok {
				t.Errorf("%q is lost", p.name)
			}
		}
	})
}
