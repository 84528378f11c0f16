package auth

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// One caller cannot fill the store that all callers share.
func TestTicketsPerSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := newTickets(t, TicketOptions{PerSubject: 3})
		ann, bob := &Identity{Subject: "ann", Method: "jwt"}, &Identity{Subject: "bob", Method: "jwt"}
		issue := func(id *Identity) error {
			_, err := tickets.Issue(t.Context(), id, TicketBinding{})
			return err
		}
		for range 3 {
			if err := issue(ann); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(10 * time.Second)
		err := issue(ann)
		wantRefusal(t, err, 429, "")
		if e, _ := errors.AsType[*Error](err); e.Header.Get("Retry-After") != "20" {
			t.Errorf("Retry-After %q, want the rest of the lifetime of tickets", e.Header.Get("Retry-After"))
		}
		e := &TicketEndpoint{Tickets: tickets, Authenticator: identityStub{id: ann}}
		if resp := post(t, e, "POST", "", ""); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
			t.Errorf("the endpoint responds with %d", resp.StatusCode)
		}
		if err := issue(bob); err != nil {
			t.Errorf("another subject: %v", err)
		}
		<-time.After(20 * time.Second)
		if err := issue(ann); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

// A ticket is for one connection and cannot be used to get additional tickets, and an anonymous identity cannot get one.
func TestTicketsForTickets(t *testing.T) {
	tickets := newTickets(t, TicketOptions{})
	for _, tt := range []struct {
		id     *Identity
		status int
	}{
		{&Identity{Subject: "ann", Method: "ticket"}, 403},
		{&Identity{Subject: "guest", Method: "anonymous"}, 401},
	} {
		_, err := tickets.Issue(t.Context(), tt.id, TicketBinding{})
		wantRefusal(t, err, tt.status, "")
		e := &TicketEndpoint{Tickets: tickets, Authenticator: identityStub{id: tt.id}}
		if resp := post(t, e, "POST", "", ""); resp.StatusCode != tt.status {
			t.Errorf("%s: the endpoint responds with %d, want %d", tt.id.Method, resp.StatusCode, tt.status)
		}
	}
}

func TestQuotaIsBounded(t *testing.T) {
	q := newQuota(time.Minute, 1, 10)
	for i := range 100 {
		if wait := q.take(fmt.Sprint(i)); wait != 0 {
			t.Errorf("%d waits %v", i, wait)
		}
	}
	if q.order.Len() != 10 || len(q.count) != 10 {
		t.Errorf("%d and %d names are kept", q.order.Len(), len(q.count))
	}
	if q.take("99") == 0 {
		t.Error("the newest name is forgotten")
	}
}

// A full store does not search for expired values in every call as long as none has expired.
func TestMemoryStoreFullIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewMemoryStore(MemoryStoreOptions{Max: 5})
		for i := range 5 {
			if err := s.Put(t.Context(), fmt.Sprint(i), nil, time.Duration(i+1)*time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		before := s.sweeps
		for range 100 {
			if err := s.Put(t.Context(), "x", nil, time.Minute); !errors.Is(err, ErrStoreFull) {
				t.Fatalf("Put: %v", err)
			}
		}
		if got := s.sweeps - before; got > 1 {
			t.Errorf("searched %d times", got)
		}
		<-time.After(time.Minute)
		if err := s.Put(t.Context(), "x", nil, 10*time.Second); err != nil {
			t.Errorf("Put after one value has expired: %v", err)
		}
		<-time.After(10 * time.Second)
		if err := s.Put(t.Context(), "y", nil, time.Minute); err != nil {
			t.Errorf("Put after a later value has expired: %v", err)
		}
	})
}

// A ticket of one kind is not valid as a ticket of another kind, although one store contains both.
func TestTicketsOfTwoKinds(t *testing.T) {
	store := NewMemoryStore(MemoryStoreOptions{})
	weak, strong := newTickets(t, TicketOptions{Store: store, Name: "web"}), newTickets(t, TicketOptions{Store: store, Name: "staff"})
	ticket, err := weak.Issue(t.Context(), &Identity{Subject: "ann", Method: "apikey"}, TicketBinding{Endpoint: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = strong.For("staff").Authenticate(withTicket(ticket, ""))
	wantRefusal(t, err, 401, "", ticket)
	other := newTickets(t, TicketOptions{Store: store, Name: "web"}) // on another node
	if _, err := other.For("staff").Authenticate(withTicket(ticket, "")); err != nil {
		t.Errorf("tickets of the same kind: %v", err)
	}
}
