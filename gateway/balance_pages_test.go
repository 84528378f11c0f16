package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/observe"
)

// A request that fails at a server is logged with the server and the stage. A client that makes many such requests does not flood
// the log.
func TestFailedPagesLogged(t *testing.T) {
	broken := &backend{Server: httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			_, _ = w.Write([]byte("the beginning"))
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}))}
	t.Cleanup(broken.Close)
	r := run(t, parse(t, balancing([]*backend{broken}, "retries: 0\n\t      ejection: {failures: 0}")))
	ask := func(path string) {
		resp, err := http.Get(r.URLs()[0] + path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // the client must not disconnect early, which would itself be a cause of failure
		resp.Body.Close()
	}
	lines := func(event string) (found []string) {
		for line := range strings.Lines(r.log.String()) {
			if strings.Contains(line, `msg="`+event+`"`) {
				found = append(found, line)
			}
		}
		return found
	}
	ask("/cut")
	bounded.Until(t, func() bool { return len(lines(observe.EventPage)) == 1 })
	if line := lines(observe.EventPage)[0]; !strings.Contains(line, "level=WARN") || !strings.Contains(line, "endpoint=front server="+broken.id()+" stage=response error=") {
		t.Errorf("got %q, want the server and the stage", line)
	}
	const many = 40
	for range many {
		ask("/")
	}
	bounded.Until(t, func() bool { return len(lines(observe.EventPageMore)) > 0 })
	if line := lines(observe.EventPageMore)[0]; !strings.Contains(line, "server="+broken.id()+" endpoint=front") {
		t.Errorf("got %q, want the server and the endpoint", line)
	}
	if n := len(lines(observe.EventPage)); n >= many {
		t.Errorf("got %d lines for %d failures, want fewer", n, many)
	}
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "httputil") {
			t.Errorf("got a line of httputil: %q", line)
		}
	}
}
