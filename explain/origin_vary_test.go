package explain

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/handfast/handfast/websocket"
)

// A handshake that is refused, and accepted with another origin, does not prove that the origin is the reason: behind a balancer, the second
// handshake may have reached another server.
func TestResponsesThatVaryAreNotAboutTheOrigin(t *testing.T) {
	for servers := range int32(4) {
		var requests atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if requests.Add(1)%(servers+2) == 1 { // one server of several lacks the route
				http.NotFound(w, r)
				return
			}
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{AnyOrigin: true})
			if err != nil {
				return
			}
			defer c.CloseNow()
			c.Read(r.Context()) //nolint:errcheck // the call returns when the client has disconnected
		}))
		r := Explain(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
		server.Close()
		if r.Diagnosis == nil || r.Diagnosis.ID != FaultStatus404 || !strings.Contains(r.Diagnosis.Cause, "then accepted the same one") {
			t.Errorf("one of %d servers: %+v", servers+2, r.Diagnosis)
		}
	}
}
