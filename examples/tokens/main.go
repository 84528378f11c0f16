// Command tokens streams the answers of a simulated language model to browsers, token by token. An answer is a durable stream, which
// survives a reload of the page and a restart of the server. After a restart, the model continues the answer where it was interrupted.
package main

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/handfast/handfast/examples/internal/site"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/hub/natsengine"
	"github.com/handfast/handfast/streams"
)

//go:embed page
var page embed.FS

const (
	app  = "tokens"
	pace = 100 * time.Millisecond // the time between two tokens
)

func main() {
	cache, err := os.UserCacheDir()
	if err != nil {
		log.Fatal(err)
	}
	server, err := natsengine.Start(natsengine.Embedded{Dir: filepath.Join(cache, "handfast-tokens")})
	if err != nil {
		log.Fatal(err)
	}
	engine, err := natsengine.New(natsengine.Options{Server: server})
	if err != nil {
		log.Fatal(err)
	}
	site.Main(example(engine))
	server.Shutdown()
}

// example returns the site. If engine is nil, an in-memory engine is used.
func example(engine hub.Engine) site.Site {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return site.Site{Name: "tokens", Listen: "127.0.0.1:9205", Page: files, Register: func(mux *http.ServeMux) func(context.Context) error {
		return register(mux, engine)
	}}
}

func register(mux *http.ServeMux, engine hub.Engine) func(context.Context) error {
	h := hub.New(hub.Options{Engine: engine})
	ctx, stop := context.WithCancel(context.Background())
	m := &model{ctx: ctx, hub: h, streams: &streams.Server{Hub: h, App: app}, busy: map[string]bool{}}
	mux.HandleFunc("GET /answers/{name}", m.read)
	mux.HandleFunc("HEAD /answers/{name}", m.read)
	mux.HandleFunc("POST /ask/{name}", m.ask)
	return func(context.Context) error {
		stop()
		m.running.Wait()
		return errors.Join(m.streams.Close(), h.Close())
	}
}

// model is the simulated language model.
type model struct {
	ctx     context.Context
	hub     *hub.Hub
	streams *streams.Server
	running sync.WaitGroup

	mu   sync.Mutex
	busy map[string]bool // the names of the answers in progress
}

// read serves the stream of an answer.
func (m *model) read(w http.ResponseWriter, r *http.Request) {
	m.streams.Serve(w, r, r.PathValue("name"), streams.Client{})
}

// maxBusy is the maximum number of answers in progress. More questions are rejected with 503.
const maxBusy = 100

// ask starts an answer, or continues one that a restart interrupted. Repeating a question has no effect.
func (m *model) ask(w http.ResponseWriter, r *http.Request) {
	name, question := r.PathValue("name"), r.FormValue("question")
	if len(question) > 200 {
		http.Error(w, "the question is too long", http.StatusRequestEntityTooLarge)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.busy[name]:
	case len(m.busy) >= maxBusy || m.ctx.Err() != nil:
		http.Error(w, "the model is busy", http.StatusServiceUnavailable)
		return
	default:
		err := m.streams.Create(r.Context(), name, "text/plain")
		if errors.Is(err, streams.ErrConflict) {
			break // the stream is closed: the answer is complete
		}
		if err != nil {
			log.Print(err)
			http.Error(w, "the model is not ready", http.StatusServiceUnavailable)
			return
		}
		m.busy[name] = true
		m.running.Go(func() { m.work(name, question) })
	}
	w.WriteHeader(http.StatusNoContent)
}

// work appends the tokens of the answer that the stream does not contain yet.
func (m *model) work(name, question string) {
	defer func() {
		m.mu.Lock()
		delete(m.busy, name)
		m.mu.Unlock()
	}()
	page, err := m.hub.History(m.ctx, app, name, hub.HistoryQuery{Limit: -1, Bytes: -1})
	if err != nil {
		log.Print(err)
		return
	}
	tokens := answer(question)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := min(len(page.Publications), len(tokens)); i <= len(tokens); i++ {
		select {
		case <-m.ctx.Done():
			return
		case <-tick.C:
		}
		token, last := "", i == len(tokens)
		if !last {
			token = tokens[i]
		}
		if err := m.streams.Append(m.ctx, name, []byte(token), last); err != nil {
			log.Print(err)
			return
		}
	}
}

// answer returns the model's answer, which is always the same for the same question.
func answer(question string) []string {
	return strings.SplitAfter("You have asked: "+question+" That is a good question. A model would write its answer here, one token "+
		"after the other, and a reader may go away and come back: what was written meanwhile is still in the stream. This is "+
		"the end of the answer.", " ")
}
