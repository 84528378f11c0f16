// Command servers runs one server of the corpus: servers NAME PORT ARGS... It is a module of its own, outside go.work, so that only
// "make servers" downloads what it needs.
package main

import (
	"log"
	"net/http"
	"os"
)

// A starter starts a server at an address, and returns when it has stopped.
type starter func(addr string, args ...string) error

// servers are the servers of all files.
var servers = map[string]starter{}

// serve registers a server of net/http.
func serve(name string, h http.Handler) {
	servers[name] = func(addr string, _ ...string) error { return http.ListenAndServe(addr, h) }
}

// at is a handler for one path.
func at(path string, h http.HandlerFunc) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc(path, h)
	return m
}

func main() {
	if err := servers[os.Args[1]]("127.0.0.1:"+os.Args[2], os.Args[3:]...); err != nil {
		log.Fatal(err)
	}
}
