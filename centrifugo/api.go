package centrifugo

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/handfast/handfast/hub"
)

const (
	maxAPIBody  = 4 << 20 // the maximum size of a request in bytes
	maxChannels = 1000    // the maximum number of channels of a broadcast, commands of a batch, or connections of a whitelist
)

// API serves the server API for the application. A request is a POST to …/{method} with a JSON object, and with the secret in the header
// X-API-Key, or in Authorization after the word apikey. The pattern of the route must contain the wildcard {method}. If a method fails, the
// response has status 200 and contains the error; a wrong key gets a 401.
func (s *Server) API(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(r) {
		http.Error(w, "the API key is missing or wrong", http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "the method must be POST", http.StatusMethodNotAllowed)
		return
	}
	name := r.PathValue("method")
	if name != "batch" && methods[name] == nil {
		http.Error(w, "there is no such method", http.StatusNotFound)
		return
	}
	body, ok := readBody(w, r, maxAPIBody)
	if !ok {
		return
	}
	r = r.WithContext(hub.WithTraceparent(r.Context(), r.Header.Get("Traceparent")))
	if len(body) == 0 {
		body = []byte("{}")
	}
	if name == "batch" {
		s.batch(w, r, body)
		return
	}
	a := s.call(r.Context(), name, body)
	if a.Error == errNotJSON {
		http.Error(w, "the body is not a JSON object with the parameters of this method", http.StatusBadRequest)
		return
	}
	writeJSON(w, a)
}

// authorized checks the key in constant time. It compares hashes, because comparing the keys would reveal the secret's length.
func (s *Server) authorized(r *http.Request) bool {
	key := r.Header.Get("X-API-Key")
	if scheme, rest, ok := strings.Cut(r.Header.Get("Authorization"), " "); key == "" && ok && strings.EqualFold(scheme, "apikey") {
		key = rest
	}
	got, want := sha256.Sum256([]byte(key)), sha256.Sum256([]byte(s.Secret))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && s.Secret != ""
}

// answer is the response of a method.
type answer struct {
	Error  *failure `json:"error,omitempty"`
	Result any      `json:"result,omitempty"`
}

// errNotJSON indicates that a body does not contain the parameters of the method.
var errNotJSON = &failure{Code: errBadRequest.Code, Message: errBadRequest.Message}

// method is a method of the API.
type method func(ctx context.Context, s *Server, body []byte) (any, error)

// decoded returns a method that decodes its parameters into a P and calls f.
func decoded[P any](f func(ctx context.Context, s *Server, p *P) (any, error)) method {
	return func(ctx context.Context, s *Server, body []byte) (any, error) {
		p := new(P)
		if json.Unmarshal(body, p) != nil {
			return nil, errNotJSON
		}
		return f(ctx, s, p)
	}
}

// call calls one method.
func (s *Server) call(ctx context.Context, name string, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	result, err := methods[name](ctx, s, body)
	if err != nil {
		return answer{Error: failureOf(err)}
	}
	if result == nil {
		result = struct{}{}
	}
	return answer{Result: result}
}

// batch calls several methods, in order.
func (s *Server) batch(w http.ResponseWriter, r *http.Request, body []byte) {
	var p struct {
		Commands []map[string]json.RawMessage `json:"commands"`
	}
	if json.Unmarshal(body, &p) != nil || len(p.Commands) > maxChannels {
		http.Error(w, "the body is not a batch: a JSON object with a list of commands", http.StatusBadRequest)
		return
	}
	replies := make([]any, len(p.Commands))
	for i, c := range p.Commands {
		for name, body := range c {
			if methods[name] == nil {
				replies[i] = answer{Error: errNoMethod}
				continue
			}
			a := s.call(r.Context(), name, body)
			if a.Error != nil {
				replies[i] = a
			} else {
				replies[i] = map[string]any{name: a.Result}
			}
		}
		if len(c) != 1 {
			replies[i] = answer{Error: errBadRequest}
		}
	}
	writeJSON(w, map[string]any{"replies": replies})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v) //nolint:errcheck // this fails only if the client has disconnected
}
