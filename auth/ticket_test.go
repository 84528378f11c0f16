package auth

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/redact"
)

func newTickets(t testing.TB, o TicketOptions) *Tickets {
	t.Helper()
	if o.Store == nil {
		o.Store = NewMemoryStore(MemoryStoreOptions{})
	}
	tickets, err := NewTickets(o)
	if err != nil {
		t.Fatal(err)
	}
	return tickets
}

// withTicket returns a handshake of a page.
func withTicket(ticket, origin string) *http.Request {
	r := httptest.NewRequest("GET", "/echo?room=1&ticket="+url.QueryEscape(ticket), nil)
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	return r
}

const ticketOrigin = "https://app.example"

func TestTickets(t *testing.T) {
	ann := &Identity{Subject: "ann", Method: "jwt", ID: "jti-1", Issued: time.Now().Add(-time.Minute),
		Expires: time.Now().Add(time.Hour), Claims: map[string]any{"roles": []any{"admin"}, "n": 1.0}}
	for _, tt := range []struct {
		name    string
		binding TicketBinding
		options TicketOptions
		request func(ticket string) *http.Request
		status  int // 0 means admitted, -1 no credentials
	}{
		{"redeemed", TicketBinding{Origin: ticketOrigin}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, ticketOrigin) }, 0},
		{"origins ignore case", TicketBinding{Origin: "HTTPS://App.example"}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, ticketOrigin) }, 0},
		{"for this endpoint", TicketBinding{Endpoint: "echo"}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, "") }, 0},
		{"for another endpoint", TicketBinding{Endpoint: "chat"}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, "") }, 401},
		{"from another origin", TicketBinding{Origin: ticketOrigin}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, "https://evil.example") }, 401},
		{"from another scheme", TicketBinding{Origin: ticketOrigin}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, "http://app.example") }, 401},
		{"from no page", TicketBinding{Origin: ticketOrigin}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, "") }, 401},
		{"from a page, meant for none", TicketBinding{}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, ticketOrigin) }, 401},
		{"two origins", TicketBinding{Origin: ticketOrigin}, TicketOptions{}, func(k string) *http.Request {
			r := withTicket(k, ticketOrigin)
			r.Header.Add("Origin", "https://evil.example")
			return r
		}, 401},
		{"from the address", TicketBinding{Address: "192.0.2.1"}, TicketOptions{BindAddress: true}, func(k string) *http.Request { return withTicket(k, "") }, 0},
		{"from another address", TicketBinding{Address: "192.0.2.7"}, TicketOptions{BindAddress: true}, func(k string) *http.Request { return withTicket(k, "") }, 401},
		{"addresses are not looked at", TicketBinding{Address: "192.0.2.7"}, TicketOptions{}, func(k string) *http.Request { return withTicket(k, "") }, 0},
		{"another parameter", TicketBinding{}, TicketOptions{Query: "t"}, func(k string) *http.Request { return withTicket(k, "") }, -1},
		{"no ticket", TicketBinding{}, TicketOptions{}, func(string) *http.Request { return httptest.NewRequest("GET", "/", nil) }, -1},
		{"empty", TicketBinding{}, TicketOptions{}, func(string) *http.Request { return withTicket("", "") }, 401},
		{"two tickets", TicketBinding{}, TicketOptions{}, func(k string) *http.Request { return httptest.NewRequest("GET", "/?ticket="+k+"&ticket="+k, nil) }, 401},
		{"tampered", TicketBinding{}, TicketOptions{}, func(k string) *http.Request { return withTicket(k[:10]+flip(k[10])+k[11:], "") }, 401},
		{"longer", TicketBinding{}, TicketOptions{}, func(k string) *http.Request { return withTicket(k+"A", "") }, 401},
		{"shorter", TicketBinding{}, TicketOptions{}, func(k string) *http.Request { return withTicket(k[:len(k)-1], "") }, 401},
		{"a line end inside", TicketBinding{}, TicketOptions{}, func(k string) *http.Request { return withTicket(k[:len(k)-1]+"\n", "") }, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tickets := newTickets(t, tt.options)
			ticket, err := tickets.Issue(t.Context(), ann, tt.binding)
			if err != nil {
				t.Fatal(err)
			}
			id, err := tickets.For("echo").Authenticate(tt.request(ticket))
			switch {
			case tt.status == -1:
				if !errors.Is(err, ErrNoCredentials) {
					t.Errorf("error %v, want ErrNoCredentials", err)
				}
			case tt.status != 0:
				wantRefusal(t, err, tt.status, "", ticket, ticket[4:])
			case err != nil:
				t.Error(err)
			case id.Subject != "ann" || id.Method != "ticket" || id.ID != "jti-1" || !id.Issued.Equal(ann.Issued) ||
				!id.Expires.Equal(ann.Expires) || id.Claims["n"] != 1 || len(id.Claims["roles"].([]any)) != 1:
				t.Errorf("identity %+v", id)
			}
		})
	}
}

// flip returns a different letter.
func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestTicketReplay(t *testing.T) {
	tickets := newTickets(t, TicketOptions{})
	ticket, err := tickets.Issue(t.Context(), &Identity{Subject: "ann"}, TicketBinding{})
	if err != nil {
		t.Fatal(err)
	}
	var in atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := tickets.For("echo").Authenticate(withTicket(ticket, "")); err == nil {
				in.Add(1)
			} else if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusUnauthorized {
				t.Errorf("replay: %v", err)
			}
		})
	}
	wg.Wait()
	if in.Load() != 1 {
		t.Errorf("%d of 100 admitted with one ticket", in.Load())
	}
	// A ticket is consumed even if it is not valid, so that a thief cannot try several origins.
	ticket, err = tickets.Issue(t.Context(), &Identity{Subject: "ann"}, TicketBinding{Origin: ticketOrigin})
	if err != nil {
		t.Fatal(err)
	}
	for _, origin := range []string{"https://evil.example", ticketOrigin} {
		_, err := tickets.For("echo").Authenticate(withTicket(ticket, origin))
		wantRefusal(t, err, 401, "", ticket)
	}
}

func TestTicketTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := newTickets(t, TicketOptions{TTL: time.Minute})
		for _, tt := range []struct {
			expires, wait time.Duration
			status        int
		}{
			{0, 59 * time.Second, 0},
			{0, time.Minute, 401},
			{30 * time.Second, 29 * time.Second, 0},
			{30 * time.Second, 30 * time.Second, 401}, // the credential it was issued for has expired
		} {
			id := &Identity{Subject: "ann"}
			if tt.expires > 0 {
				id.Expires = time.Now().Add(tt.expires)
			}
			ticket, err := tickets.Issue(t.Context(), id, TicketBinding{})
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(tt.wait)
			_, err = tickets.For("echo").Authenticate(withTicket(ticket, ""))
			if tt.status != 0 {
				wantRefusal(t, err, tt.status, "", ticket)
			} else if err != nil {
				t.Errorf("after %v: %v", tt.wait, err)
			}
		}
	})
}

func TestTicketsRefuse(t *testing.T) {
	for _, o := range []TicketOptions{{}, {Store: NewMemoryStore(MemoryStoreOptions{}), TTL: 61 * time.Second}} {
		if _, err := NewTickets(o); err == nil {
			t.Errorf("NewTickets(%+v): no error", o)
		}
	}
	tickets := newTickets(t, TicketOptions{})
	for _, id := range []*Identity{nil, {}, anonymousIdentity, {Subject: "ann", Claims: map[string]any{"x": strings.Repeat("x", ticketMaxData)}},
		{Subject: "ann", Claims: map[string]any{"x": func() {}}}} {
		if ticket, err := tickets.Issue(t.Context(), id, TicketBinding{}); err == nil {
			t.Errorf("Issue(%.60v) = %q, no error", id, ticket)
		}
	}
	down := newTickets(t, TicketOptions{Store: brokenStore{}})
	if _, err := down.Issue(t.Context(), &Identity{Subject: "ann"}, TicketBinding{}); !errors.Is(err, errBroken) {
		t.Errorf("the store is down: Issue: %v", err)
	}
	ticket, err := tickets.Issue(t.Context(), &Identity{Subject: "ann"}, TicketBinding{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = down.For("echo").Authenticate(withTicket(ticket, ""))
	wantRefusal(t, err, 503, "", ticket)
	// Data that other programs have written to a shared store admits no client.
	for _, record := range []string{"", "null", "{}", `{"sub":""}`, `{"sub":"ann"}`, `{"sub":7}`, "\x00"} {
		if err := tickets.o.Store.Put(t.Context(), tickets.key(ticket), []byte(record), time.Minute); err != nil {
			t.Fatal(err)
		}
		_, err := tickets.For("echo").Authenticate(withTicket(ticket, ""))
		wantRefusal(t, err, 401, "", ticket)
	}
}

func TestTicketEndpoint(t *testing.T) {
	a, key := apiUser(t, "ann")
	tickets := newTickets(t, TicketOptions{})
	var failure error
	e := &TicketEndpoint{Tickets: tickets, Authenticator: a, Origins: []string{ticketOrigin},
		OnError: func(_ *http.Request, err error) { failure = err }}
	const asJSON = "application/json; charset=utf-8"
	for _, tt := range []struct {
		name, body string
		fields     []string
		status     int
		redeem     string // the origin that can redeem it
	}{
		{"a page", "", []string{"Origin", ticketOrigin}, 200, ticketOrigin},
		{"a page of the same origin", "", []string{"Origin", "https://auth.example"}, 200, "https://auth.example"},
		{"a page names an endpoint", `{"endpoint":"echo"}`, []string{"Origin", ticketOrigin, "Content-Type", asJSON}, 200, ticketOrigin},
		{"a page names its origin", `{"origin":"https://app.example"}`, []string{"Origin", ticketOrigin, "Content-Type", asJSON}, 200, ticketOrigin},
		{"a page names another origin", `{"origin":"https://auth.example"}`, []string{"Origin", ticketOrigin, "Content-Type", asJSON}, 400, ""},
		{"a server for a page", `{"origin":"https://app.example"}`, []string{"Content-Type", asJSON}, 200, ticketOrigin},
		{"a program", "", nil, 200, ""},
		{"a page that may not", "", []string{"Origin", "https://evil.example"}, 403, ""},
		{"a form", "endpoint=echo", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, ""},
		{"not JSON", "{", []string{"Content-Type", asJSON}, 400, ""},
		{"more than JSON", "{}}", []string{"Content-Type", asJSON}, 400, ""},
		{"something else", `{"subject":"root"}`, []string{"Content-Type", asJSON}, 400, ""},
		{"too long", `{"origin":"` + strings.Repeat("x", callMaxBody) + `"}`, []string{"Content-Type", asJSON}, 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			failure = nil
			resp := post(t, e, "POST", tt.body, key, tt.fields...)
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tt.status || resp.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d, Cache-Control %q, %v, want %d: %s", resp.StatusCode, resp.Header.Get("Cache-Control"), err, tt.status, body)
			}
			if tt.status != 200 {
				if failure == nil || strings.Contains(failure.Error()+string(body), key) {
					t.Errorf("OnError got %v", failure)
				}
				return
			}
			var reply struct {
				Ticket    string `json:"ticket"`
				ExpiresIn int    `json:"expires_in"`
			}
			if err := json.Unmarshal(body, &reply); err != nil || reply.ExpiresIn != 30 {
				t.Fatalf("reply %s, %v", body, err)
			}
			id, err := tickets.For("echo").Authenticate(withTicket(reply.Ticket, tt.redeem))
			if err != nil || id.Subject != "ann" || id.Method != "ticket" || id.ID != "k1" {
				t.Errorf("redeemed: %+v, %v", id, err)
			}
		})
	}
	e.Tickets = newTickets(t, TicketOptions{Store: brokenStore{}})
	if resp := post(t, e, "POST", "", key); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the store is down: %d", resp.StatusCode)
	}
	e.Authenticator = Anonymous()
	if resp := post(t, e, "POST", "", ""); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a ticket without a user: %d", resp.StatusCode)
	}
}

// Whatever a client puts into the query, only the exact ticket admits it, and the error contains nothing of the query.
func FuzzTicket(f *testing.F) {
	store := NewMemoryStore(MemoryStoreOptions{})
	tickets := newTickets(f, TicketOptions{Store: store, PerSubject: 1 << 30})
	gate := tickets.For("echo")
	f.Add("ticket=hft_"+strings.Repeat("A", 43), ticketOrigin)
	f.Add("ticket=%68ft_"+strings.Repeat("A", 43)+"&x", "")
	f.Add("ticket=TICKET", ticketOrigin)
	f.Add("a;ticket=TICKET&b", ticketOrigin)
	f.Add("ticket=TICKET%0A", "null")
	f.Add("ticket=TICKET&Ticket=TICKET", ticketOrigin)
	f.Fuzz(func(t *testing.T, query, origin string) {
		ticket, err := tickets.Issue(t.Context(), &Identity{Subject: "ann"}, TicketBinding{Origin: ticketOrigin})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Take(t.Context(), tickets.key(ticket))
		query = strings.ReplaceAll(query, "TICKET", ticket)
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{"Origin": {origin}},
			RemoteAddr: "192.0.2.1:1"}
		id, err := gate.Authenticate(r.WithContext(t.Context()))
		shown, _ := url.ParseQuery(query)
		right := len(shown["ticket"]) == 1 && shown["ticket"][0] == ticket && strings.ToLower(origin) == ticketOrigin
		if (err == nil) != right {
			t.Fatalf("query %q, origin %q: %+v, %v", query, origin, id, err)
		}
		if err != nil && (strings.Contains(err.Error(), ticket) || len(query) > 30 && strings.Contains(err.Error(), query)) {
			t.Fatalf("the error contains what the client sent: %v", err)
		}
		if got := redact.Forwarded(query); strings.Contains(got, ticket) {
			t.Fatalf("redact.Forwarded(%q) = %q", query, got)
		}
	})
}
