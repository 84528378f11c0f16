// Command embed adds live updates to an existing web shop: it runs handfast's hub and WebSocket library inside the shop's net/http
// server. The additions are in live.go.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"sync"

	"github.com/handfast/handfast/examples/internal/site"
)

//go:embed page
var page embed.FS

func main() { site.Main(example()) }

func example() site.Site {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return site.Site{Name: "embed", Listen: "127.0.0.1:9200", Page: files, Register: register}
}

func register(mux *http.ServeMux) func(context.Context) error {
	s := &shop{live: newLive()}
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /orders", s.order)
	mux.HandleFunc("POST /orders/{number}/sent", s.sent)
	mux.Handle("GET /live", s.live.endpoint)
	return s.live.shutdown
}

// shop is the application.
type shop struct {
	mu     sync.Mutex
	orders []order
	live   *live
}

type order struct {
	Number   int    `json:"number"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
	State    string `json:"state"`
}

// login stands in for the shop's real login and accepts every name. The cookie is for demonstration only: it is neither signed nor
// random, so any client can forge the cookie of any customer. An existing application uses its own sessions.
func (s *shop) login(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("name")
	if name == "" {
		http.Error(w, "a name is required", http.StatusBadRequest)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "customer", Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	w.WriteHeader(http.StatusNoContent)
}

// customer returns the customer who sent a request, or "" if there is no session.
func customer(r *http.Request) string {
	c, err := r.Cookie("customer")
	if err != nil {
		return ""
	}
	return c.Value
}

// order handles a new order.
func (s *shop) order(w http.ResponseWriter, r *http.Request) {
	who := customer(r)
	if who == "" {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	o := order{Number: len(s.orders) + 1, Customer: who, Item: r.FormValue("item"), State: "ordered"}
	s.orders = append(s.orders, o)
	s.mu.Unlock()
	s.live.changed(r.Context(), o)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(o); err != nil {
		log.Print(err)
	}
}

// sent handles a request that marks an order as sent.
func (s *shop) sent(w http.ResponseWriter, r *http.Request) {
	var number int
	if _, err := fmt.Sscan(r.PathValue("number"), &number); err != nil {
		http.Error(w, "not the number of an order", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if number < 1 || number > len(s.orders) {
		http.Error(w, "there is no such order", http.StatusNotFound)
		return
	}
	s.orders[number-1].State = "sent"
	s.live.changed(r.Context(), s.orders[number-1])
	w.WriteHeader(http.StatusNoContent)
}
