package auth

import (
	"testing"
	"time"
)

// The zero values of the options have the documented meaning.
func TestDefaults(t *testing.T) {
	f, err := NewForward(ForwardOptions{URL: "https://auth.example/"})
	if err != nil {
		t.Fatal(err)
	}
	if o := f.o; o.TTL != 10*time.Second || o.DenyTTL != time.Second || o.MaxTTL != time.Minute || o.Timeout != 5*time.Second ||
		o.InFlight != 64 || o.Wait != time.Second || o.Failures != 5 || o.Pause != 5*time.Second {
		t.Errorf("forward: %+v", o)
	}
	store := NewMemoryStore(MemoryStoreOptions{})
	if store.ttl != RevocationTTL || store.max != 100_000 {
		t.Errorf("store: %v, %d", store.ttl, store.max)
	}
	tickets, err := NewTickets(TicketOptions{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	if o := tickets.o; o.TTL != 30*time.Second || o.Query != "ticket" || o.PerSubject != 1000 {
		t.Errorf("tickets: %+v", o)
	}
}
