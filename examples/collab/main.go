// Command collab is a text editor for several users in their browsers. Yjs merges their edits. Channels deliver and store the updates of
// Yjs, and provide the whole text to users who join later.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"time"

	"github.com/handfast/handfast/channels"
	"github.com/handfast/handfast/channels/wire"
	"github.com/handfast/handfast/examples/internal/site"
	"github.com/handfast/handfast/hub"
	"github.com/handfast/handfast/websocket"
)

//go:embed page
var page embed.FS

// source is the directory of package.json, relative to the root of a clone.
const source = "examples/collab"

func main() {
	modules, err := install(source)
	if err != nil {
		log.Fatal(err)
	}
	site.Main(example(modules))
}

// install runs npm in dir if Yjs is missing there, and returns the directory of the modules.
func install(dir string) (modules string, err error) {
	modules = filepath.Join(dir, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "yjs")); err == nil {
		return modules, nil
	}
	fmt.Fprintln(os.Stderr, "npm ci: fetching Yjs")
	npm := exec.Command("npm", "ci")
	npm.Dir, npm.Stdout, npm.Stderr = dir, os.Stderr, os.Stderr
	if err := npm.Run(); err != nil {
		return "", fmt.Errorf("npm ci in %s (start this in the root of a clone): %w", dir, err)
	}
	return modules, nil
}

func example(modules string) site.Site {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return site.Site{Name: "collab", Listen: "127.0.0.1:9203", Page: files, Register: func(mux *http.ServeMux) func(context.Context) error {
		mux.Handle("GET /modules/", http.StripPrefix("/modules/", scripts(os.DirFS(modules))))
		return register(mux)
	}}
}

// scripts serves the modules that the page's import map names. It adds the file extension, which imports of lib0's files omit.
func scripts(modules fs.FS) http.Handler {
	files := http.FileServerFS(modules)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Ext(r.URL.Path) == "" {
			r.URL.Path += ".js"
		}
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		files.ServeHTTP(w, r)
	})
}

// namespaces contains the namespaces of the documents. The channel doc-NAME contains a document's updates. The channel state-NAME
// contains one key with the whole document, for users who join after the first updates have been discarded.
var namespaces = []hub.Namespace{
	{Prefix: "doc-", History: 500, HistoryAge: 24 * time.Hour, Presence: true, MaxData: 256 << 10},
	{Prefix: "state-", History: 10, HistoryAge: time.Hour, MaxData: 768 << 10},
}

// allowed matches the channels that clients may use: the channels of documents.
var allowed = regexp.MustCompile(`^(doc|state)-[\p{L}\p{N}_-]{1,60}$`)

func register(mux *http.ServeMux) func(context.Context) error {
	h := hub.New(hub.Options{Namespaces: namespaces})
	speaks := &channels.Server{Hub: h, App: "collab"}
	endpoint := &websocket.Endpoint{
		Accept: websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, Conn: channels.ConnOptions()},
		Open:   speaks.Open(channels.Client{Allow: allow}),
	}
	mux.Handle("GET /channels", endpoint)
	return func(ctx context.Context) error {
		return errors.Join(endpoint.Shutdown(ctx), h.Close())
	}
}

func allow(_, channel string) error {
	if allowed.MatchString(channel) {
		return nil
	}
	return errors.New("not the channel of a document")
}
