package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A ticket is "hft_" and 256 random bits. What it stands for is in the Store, under a hash of it: a ticket in a URL says
// nothing about its user, is as short as can be, and no key must be shared among nodes; the Store is needed anyway, to
// redeem it once.
const (
	ticketPrefix  = "hft_"
	ticketBytes   = 32
	ticketMaxTTL  = 60 * time.Second
	ticketMaxData = 16 << 10 // bytes of an identity and what it is bound to
	ticketStored  = "ticket:"
	ticketMethod  = "ticket"
)

// ticketLength is how long every ticket is.
var ticketLength = len(ticketPrefix) + base64.RawURLEncoding.EncodedLen(ticketBytes)

// TicketOptions says how tickets are kept and found.
type TicketOptions struct {
	// Store keeps the tickets; all nodes that issue and redeem share it. It must not be nil.
	Store Store

	// Name keeps tickets apart that are in one Store and are issued to different callers: those of another name do not hold
	// here. It is the same on all nodes. "" is a name too.
	Name string

	// TTL is how long a ticket can be redeemed; 0 means 30 s; at most 60 s.
	TTL time.Duration

	// PerSubject is how many tickets one subject may get on this node within TTL; 0 means 1,000. Then the answer is 429 until
	// it is over: otherwise one caller could fill the Store.
	PerSubject int

	// Query is the name of the query parameter; "": ticket.
	Query string

	// BindAddress binds tickets to the client's address as well. Clients that change networks, or speak IPv4 to one host
	// and IPv6 to the other, are then kept out. Address returns the address; nil means the host of r.RemoteAddr, which behind
	// a proxy is that of the proxy.
	BindAddress bool
	Address     func(r *http.Request) string
}

// Tickets issues and redeems single-use tickets: what a page that may send its credentials by fetch, but cannot by
// WebSocket, puts into the URL. Make it with [NewTickets].
type Tickets struct {
	o     TicketOptions
	quota *quota
}

// ticketSubjects is how many subjects are counted.
const ticketSubjects = 20_000

// TicketBinding says where a ticket holds.
type TicketBinding struct {
	Origin   string `json:"origin,omitempty"`   // what the handshake's Origin must be; "": it must have none
	Endpoint string `json:"endpoint,omitempty"` // the name of the endpoint; "": any that takes these tickets
	Address  string `json:"address,omitempty"`  // the client's; looked at only with BindAddress
}

// ticketRecord is what the Store has.
type ticketRecord struct {
	TicketBinding
	Subject string         `json:"sub"`
	Claims  map[string]any `json:"claims,omitempty"`
	ID      string         `json:"id,omitempty"`
	Issued  time.Time      `json:"issued,omitzero"`
	Expires time.Time      `json:"expires,omitzero"`
	Until   time.Time      `json:"until"` // of the ticket
}

var (
	errTicketForm    = errors.New("the ticket is not well-formed, or there are several")
	errTicketUnknown = errors.New("no such ticket: it was redeemed, has expired, or never existed")
	errTicketPlace   = errors.New("the ticket was issued for another origin, endpoint or address")
	errTicketNobody  = errors.New("tickets are issued only to authenticated clients")
	errTicketTicket  = errors.New("a ticket cannot be used to get another ticket")
	errTicketMany    = errors.New("too many tickets for one subject")
)

// NewTickets returns what issues and redeems tickets.
func NewTickets(o TicketOptions) (*Tickets, error) {
	if o.Store == nil {
		return nil, errors.New("auth: tickets: a store is required")
	}
	if o.TTL = orDefault(o.TTL, 30*time.Second); o.TTL > ticketMaxTTL {
		return nil, fmt.Errorf("auth: tickets: a lifetime of %v is too long; at most %v is allowed", o.TTL, ticketMaxTTL)
	}
	if o.Query == "" {
		o.Query = "ticket"
	}
	if o.Address == nil {
		o.Address = remoteHost
	}
	o.PerSubject = orDefault(o.PerSubject, 1000)
	return &Tickets{o: o, quota: newQuota(o.TTL, o.PerSubject, ticketSubjects)}, nil
}

// Issue returns a ticket for id that holds where b says. Claims come back from it as JSON
// gives them, whole numbers as int.
// The error is an [*Error] when it is id that cannot have a ticket, or not now; else it is the Store's.
func (t *Tickets) Issue(ctx context.Context, id *Identity, b TicketBinding) (string, error) {
	switch {
	case id == nil || id.Subject == "" || isAnonymous(id):
		return "", Unauthorized(errTicketNobody)
	case id.Method == ticketMethod:
		return "", Forbidden(errTicketTicket)
	}
	b.Origin = strings.ToLower(b.Origin)
	data, err := json.Marshal(ticketRecord{TicketBinding: b, Subject: id.Subject, Claims: id.Claims, ID: id.ID,
		Issued: id.Issued, Expires: id.Expires, Until: time.Now().Add(t.o.TTL)})
	if err == nil && len(data) > ticketMaxData {
		err = fmt.Errorf("the identity takes %d bytes; a ticket can hold at most %d", len(data), ticketMaxData)
	}
	if err != nil {
		return "", Forbidden(fmt.Errorf("issuing a ticket: %w", err))
	}
	if wait := t.quota.take(id.Subject); wait > 0 {
		return "", TooMany(wait, errTicketMany)
	}
	random := make([]byte, ticketBytes)
	rand.Read(random) // never fails
	ticket := ticketPrefix + base64.RawURLEncoding.EncodeToString(random)
	if err := t.o.Store.Put(ctx, t.key(ticket), data, t.o.TTL); err != nil {
		return "", fmt.Errorf("auth: issuing a ticket: %w", err)
	}
	return ticket, nil
}

// key is where the Store has a ticket. A reader of the Store finds no ticket there that could be redeemed.
func (t *Tickets) key(ticket string) string {
	sum := sha256.Sum256([]byte(ticket + t.o.Name)) // all tickets are of one length: where the name begins is clear
	return ticketStored + base64.RawURLEncoding.EncodeToString(sum[:])
}

// For returns an [Authenticator] that redeems tickets at the endpoint of that name. A ticket that is shown is spent, also
// where it does not hold.
func (t *Tickets) For(endpoint string) Authenticator { return &ticketGate{t: t, endpoint: endpoint} }

type ticketGate struct {
	t        *Tickets
	endpoint string
}

// Challenge implements [Authenticator]: no scheme of HTTP asks for a ticket.
func (g *ticketGate) Challenge() string { return "" }

// Authenticate implements [Authenticator]. The Identity has the ID and the times of the credential for which the ticket
// was issued, so that what ends that credential ends connections made with its tickets too.
func (g *ticketGate) Authenticate(r *http.Request) (*Identity, error) {
	o := g.t.o
	if !strings.Contains(r.URL.RawQuery, "=") {
		return nil, ErrNoCredentials
	}
	tickets := r.URL.Query()[o.Query]
	switch {
	case len(tickets) == 0:
		return nil, ErrNoCredentials
	case len(tickets) > 1, !validTicket(tickets[0]):
		return nil, Unauthorized(errTicketForm)
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	data, err := o.Store.Take(ctx, g.t.key(tickets[0]))
	if err != nil {
		return nil, Unavailable(time.Second, fmt.Errorf("redeeming a ticket: %w", err))
	}
	if data == nil {
		return nil, Unauthorized(errTicketUnknown)
	}
	var rec ticketRecord
	if err := decodeClaims(data, &rec); err != nil || rec.Subject == "" {
		return nil, Unauthorized(errTicketUnknown) // another program has written there
	}
	now := time.Now()
	if !now.Before(rec.Until) || !rec.Expires.IsZero() && !now.Before(rec.Expires) {
		return nil, Unauthorized(errTicketUnknown)
	}
	origins := r.Header.Values("Origin")
	if len(origins) > 1 || !sameTicketText(rec.Origin, strings.ToLower(r.Header.Get("Origin"))) ||
		rec.Endpoint != "" && !sameTicketText(rec.Endpoint, g.endpoint) ||
		o.BindAddress && !sameTicketText(rec.Address, o.Address(r)) {
		return nil, Unauthorized(errTicketPlace)
	}
	return &Identity{Subject: rec.Subject, Method: ticketMethod, Claims: plainClaims(rec.Claims), ID: rec.ID, Issued: rec.Issued,
		Expires: rec.Expires}, nil
}

// validTicket reports whether s could be a ticket, so that nothing else is looked up.
func validTicket(s string) bool {
	if len(s) != ticketLength || !strings.HasPrefix(s, ticketPrefix) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(s[len(ticketPrefix):])
	return err == nil && !strings.ContainsAny(s, "\r\n") // which the decoder skips
}

func sameTicketText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
