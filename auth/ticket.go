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

	"github.com/handfast/handfast/internal/redact"
)

// A ticket is "hft_" and 256 random bits. Its data is in the Store, under a hash of the ticket: so a ticket in a URL reveals
// nothing about its user, is as short as possible, and needs no key that nodes share; the Store is needed anyway to make sure that
// a ticket is redeemed only once.
const (
	ticketPrefix  = redact.TicketPrefix
	ticketBytes   = 32
	ticketMaxTTL  = 60 * time.Second
	ticketMaxData = 16 << 10 // bytes of an identity and its binding
	ticketStored  = "ticket:"
	ticketMethod  = "ticket"
)

// ticketLength is the length of every ticket.
var ticketLength = len(ticketPrefix) + base64.RawURLEncoding.EncodedLen(ticketBytes)

// TicketOptions configure [NewTickets].
type TicketOptions struct {
	// Store keeps the tickets. All nodes that issue or redeem tickets must share one Store. It must not be nil.
	Store Store

	// Name separates the tickets of different callers in one Store: tickets with another name are not valid here. It must be the
	// same on all nodes. It may be "".
	Name string

	// TTL is how long a ticket can be redeemed; 0 means 30 s, the maximum is 60 s.
	TTL time.Duration

	// PerSubject is the number of tickets that one subject may get on this node within TTL; 0 means 1,000. After that the reply is
	// 429 until the time is over: otherwise one caller could fill the Store.
	PerSubject int

	// Query is the name of the query parameter; "" means ticket.
	Query string

	// BindAddress binds tickets to the client's address as well. It rejects clients that change networks, or use IPv4 for one host
	// and IPv6 for the other. Address returns the address; nil means the host of r.RemoteAddr, which behind a proxy is the proxy's.
	BindAddress bool
	Address     func(r *http.Request) string
}

// Tickets issues and redeems single-use tickets. A page that can send its credentials by fetch, but not with a WebSocket, gets a
// ticket and puts it into the URL. Make it with [NewTickets].
type Tickets struct {
	o     TicketOptions
	quota *quota
}

// ticketSubjects is the maximum number of subjects for which tickets are counted.
const ticketSubjects = 20_000

// TicketBinding restricts where a ticket is valid.
type TicketBinding struct {
	Origin   string `json:"origin,omitempty"`   // the required Origin of the handshake; "" means it must have none
	Endpoint string `json:"endpoint,omitempty"` // the name of the endpoint; "" means any endpoint that accepts these tickets
	Address  string `json:"address,omitempty"`  // address of the client; only used with BindAddress
}

// ticketRecord is the data in the Store.
type ticketRecord struct {
	TicketBinding
	Subject string         `json:"sub"`
	Claims  map[string]any `json:"claims,omitempty"`
	ID      string         `json:"id,omitempty"`
	Issued  time.Time      `json:"issued,omitzero"`
	Expires time.Time      `json:"expires,omitzero"`
	Until   time.Time      `json:"until"` // when the ticket expires
}

var (
	errTicketMalformed  = errors.New("the ticket is not well-formed, or the request has more than one")
	errTicketUnknown    = errors.New("no such ticket: it was redeemed, has expired, or never existed")
	errTicketBinding    = errors.New("the ticket was issued for another origin, endpoint or address")
	errTicketAnonymous  = errors.New("tickets are issued only to authenticated clients")
	errTicketFromTicket = errors.New("a ticket cannot be used to get another ticket")
	errTicketQuota      = errors.New("too many tickets for one subject")
)

// NewTickets returns Tickets with these options.
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

// Issue returns a ticket for id, restricted by b. Claims are restored from the ticket as JSON decodes them, integers as int. The
// error is an [*Error] if id cannot have a ticket or has reached PerSubject; otherwise it is the Store's.
func (t *Tickets) Issue(ctx context.Context, id *Identity, b TicketBinding) (string, error) {
	switch {
	case id == nil || id.Subject == "" || isAnonymous(id):
		return "", Unauthorized(errTicketAnonymous)
	case id.Method == ticketMethod:
		return "", Forbidden(errTicketFromTicket)
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
		return "", TooMany(wait, errTicketQuota)
	}
	random := make([]byte, ticketBytes)
	rand.Read(random) // never fails
	ticket := ticketPrefix + base64.RawURLEncoding.EncodeToString(random)
	if err := t.o.Store.Put(ctx, t.key(ticket), data, t.o.TTL); err != nil {
		return "", fmt.Errorf("auth: issuing a ticket: %w", err)
	}
	return ticket, nil
}

// key returns the key of a ticket in the Store. A reader of the Store cannot derive the ticket from it.
func (t *Tickets) key(ticket string) string {
	sum := sha256.Sum256([]byte(ticket + t.o.Name)) // all tickets have the same length, so that the sum is unambiguous
	return ticketStored + base64.RawURLEncoding.EncodeToString(sum[:])
}

// For returns an [Authenticator] that redeems tickets at the endpoint with that name. Any use consumes a ticket, even if it is not
// valid there.
func (t *Tickets) For(endpoint string) Authenticator { return &ticketGate{t: t, endpoint: endpoint} }

type ticketGate struct {
	t        *Tickets
	endpoint string
}

// Challenge implements [Authenticator]: HTTP has no scheme for tickets.
func (g *ticketGate) Challenge() string { return "" }

// Authenticate implements [Authenticator]. The Identity has the ID and the times of the credential for which the ticket was issued,
// so that the end of that credential also ends connections made with its tickets.
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
		return nil, Unauthorized(errTicketMalformed)
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
		return nil, Unauthorized(errTicketUnknown) // another program has written the stored value
	}
	now := time.Now()
	if !now.Before(rec.Until) || !rec.Expires.IsZero() && !now.Before(rec.Expires) {
		return nil, Unauthorized(errTicketUnknown)
	}
	origins := r.Header.Values("Origin")
	if len(origins) > 1 || !sameTicketText(rec.Origin, strings.ToLower(r.Header.Get("Origin"))) ||
		rec.Endpoint != "" && !sameTicketText(rec.Endpoint, g.endpoint) ||
		o.BindAddress && !sameTicketText(rec.Address, o.Address(r)) {
		return nil, Unauthorized(errTicketBinding)
	}
	return &Identity{Subject: rec.Subject, Method: ticketMethod, Claims: plainClaims(rec.Claims), ID: rec.ID, Issued: rec.Issued,
		Expires: rec.Expires}, nil
}

// validTicket reports whether s has the form of a ticket. Other strings are not looked up in the Store.
func validTicket(s string) bool {
	if len(s) != ticketLength || !strings.HasPrefix(s, ticketPrefix) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(s[len(ticketPrefix):])
	return err == nil && !strings.ContainsAny(s, "\r\n") // the decoder would ignore line breaks
}

func sameTicketText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
