package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/handfast/handfast/internal/redact"
)

// An API key is "hf_" ID "_" SECRET. The prefix lets scanners find leaked keys; the ID determines the entry to compare with; the
// secret is 256 random bits, so a plain hash of the key is safe to store.
const (
	apiKeyPrefix    = redact.APIKeyPrefix
	apiKeyMaxID     = 64
	apiKeyMaxLength = 256
	apiKeyHash      = "sha256:"
)

// apiKeyEncoding encodes secrets in letters and digits that need no quoting in a shell or URL and are selected by one double click.
var apiKeyEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// APIKey describes an accepted key, without the key itself.
type APIKey struct {
	ID      string         // the part of the key between the underscores; becomes the Identity's ID
	Hash    string         // "sha256:" and the hash of the whole key in hex
	Subject string         // "" means the ID
	Claims  map[string]any // may be nil
	Issued  time.Time      // zero if unknown
	Expires time.Time      // zero means never
}

// APIKeyOptions configure [NewAPIKeys].
type APIKeyOptions struct {
	// Header is the field that carries the key; "" means X-API-Key. "Authorization: ApiKey KEY" is accepted as well.
	Header string

	// Bearer also accepts "Authorization: Bearer KEY", if the token has the form of an API key. Other tokens are left to the next
	// method in a chain.
	Bearer bool

	// Query is the name of a query parameter that carries the key; "" means none. URLs end up in the logs of every proxy:
	// prefer a header, or a ticket.
	Query string

	// Keys are the accepted keys. File contains additional keys, one per line: the ID, the hash and optionally a JSON object with
	// "subject", "claims", "issued" and "expires". A changed file is read again.
	Keys []APIKey
	File string

	// OnError, if not nil, is called if File has changed and cannot be used. The previous keys then remain valid.
	OnError func(error)
}

// APIKeys is an [Authenticator] for API keys. Make it with [NewAPIKeys].
type APIKeys struct {
	o     APIKeyOptions
	fixed map[string]apiKeyEntry
	file  *storeFile[map[string]apiKeyEntry] // may be nil
}

type apiKeyEntry struct {
	hash [sha256.Size]byte
	id   *Identity
}

var (
	errAPIKeyForm    = errors.New("the API key is not well-formed, or the request has more than one")
	errAPIKeyUnknown = errors.New("no such API key")
	errAPIKeyExpired = errors.New("the API key has expired")
)

// NewAPIKeys returns an Authenticator that accepts the keys of o. It returns an error if there is no source of keys, or if a source
// cannot be used; an error in the file contains the file's name and the line.
func NewAPIKeys(o APIKeyOptions) (*APIKeys, error) {
	if o.Header == "" {
		o.Header = "X-API-Key"
	}
	if h := http.CanonicalHeaderKey(o.Header); !fieldName(h) || h == "Authorization" || h == "Cookie" {
		return nil, fmt.Errorf("auth: API keys: the header field %q cannot be used for keys; keys in Authorization are accepted without this option", o.Header)
	}
	if o.File == "" && len(o.Keys) == 0 {
		return nil, errors.New("auth: API keys: keys or a file with keys is required")
	}
	a := &APIKeys{o: o, fixed: map[string]apiKeyEntry{}}
	for _, k := range o.Keys {
		if err := addAPIKey(a.fixed, k); err != nil {
			return nil, fmt.Errorf("auth: API keys: %w", err)
		}
	}
	if o.File != "" {
		var err error
		if a.file, err = openStoreFile(o.File, parseAPIKeys, o.OnError); err != nil {
			return nil, fmt.Errorf("auth: API keys: %w", err)
		}
	}
	return a, nil
}

// Reload reads the file of keys. If there is an error, the keys are unchanged.
func (a *APIKeys) Reload() error {
	if a.file == nil {
		return nil
	}
	return a.file.reload()
}

// Challenge implements [Authenticator].
func (a *APIKeys) Challenge() string { return `ApiKey realm="handfast"` }

// Authenticate implements [Authenticator].
func (a *APIKeys) Authenticate(r *http.Request) (*Identity, error) {
	key, err := a.find(r)
	if err != nil {
		return nil, err
	}
	id, ok := splitAPIKey(key)
	if !ok {
		return nil, Unauthorized(errAPIKeyForm, a.Challenge())
	}
	entry, known := a.fixed[id]
	if !known && a.file != nil {
		entry, known = a.file.load()[id]
	}
	// For an unknown ID, the key is compared with a hash that no key has, so that known and unknown IDs take the same time.
	hash := sha256.Sum256([]byte(key))
	same := subtle.ConstantTimeCompare(hash[:], entry.hash[:]) == 1
	switch {
	case !known || !same:
		return nil, Unauthorized(errAPIKeyUnknown, a.Challenge())
	case !entry.id.Expires.IsZero() && !time.Now().Before(entry.id.Expires):
		return nil, Unauthorized(fmt.Errorf("%w: %q", errAPIKeyExpired, entry.id.ID), a.Challenge())
	}
	return entry.id, nil
}

// find returns the key in r, from any of the accepted places.
func (a *APIKeys) find(r *http.Request) (string, error) {
	values := r.Header.Values(a.o.Header)
	for _, v := range r.Header.Values("Authorization") {
		scheme, token, _ := strings.Cut(strings.TrimSpace(v), " ")
		token = strings.TrimSpace(token)
		if strings.EqualFold(scheme, "ApiKey") ||
			a.o.Bearer && strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(token, apiKeyPrefix) {
			values = append(values[:len(values):len(values)], token)
		}
	}
	if a.o.Query != "" {
		values = append(values[:len(values):len(values)], r.URL.Query()[a.o.Query]...)
	}
	switch len(values) {
	case 0:
		return "", ErrNoCredentials
	case 1:
		return values[0], nil
	}
	return "", Unauthorized(errAPIKeyForm, a.Challenge()) // it is not clear which of several keys is meant
}

// splitAPIKey returns the ID in a key.
func splitAPIKey(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, apiKeyPrefix)
	id, secret, found := strings.Cut(rest, "_")
	return id, ok && found && secret != "" && len(key) <= apiKeyMaxLength && validAPIKeyID(id)
}

// validAPIKeyID reports whether id consists of letters, digits, dots and dashes.
func validAPIKeyID(id string) bool {
	if id == "" || len(id) > apiKeyMaxID {
		return false
	}
	return !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.'
	})
}

func addAPIKey(set map[string]apiKeyEntry, k APIKey) error {
	if !validAPIKeyID(k.ID) {
		return fmt.Errorf("the ID of an API key is 1 to %d letters, digits, dots and dashes", apiKeyMaxID)
	}
	if _, ok := set[k.ID]; ok {
		return fmt.Errorf("two API keys have the ID %q", k.ID)
	}
	sum, ok := strings.CutPrefix(k.Hash, apiKeyHash)
	var e apiKeyEntry
	b, err := hex.DecodeString(sum)
	if !ok || err != nil || copy(e.hash[:], b) != len(e.hash) || len(b) != len(e.hash) {
		return fmt.Errorf("the hash of API key %q is not %q followed by %d hex digits", k.ID, apiKeyHash, 2*sha256.Size)
	}
	e.id = &Identity{Subject: k.Subject, Method: "apikey", Claims: k.Claims, ID: k.ID, Issued: k.Issued, Expires: k.Expires}
	if e.id.Subject == "" {
		e.id.Subject = k.ID
	}
	set[k.ID] = e
	return nil
}

// apiKeyDetails is the optional JSON object after the hash in a line of the file.
type apiKeyDetails struct {
	Subject string         `json:"subject,omitempty"`
	Claims  map[string]any `json:"claims,omitempty"`
	Issued  time.Time      `json:"issued,omitzero"`
	Expires time.Time      `json:"expires,omitzero"`
}

func parseAPIKeys(name, text string) (map[string]apiKeyEntry, error) {
	set := map[string]apiKeyEntry{}
	err := eachLine(name, text, func(line string) error {
		k, err := parseAPIKey(line)
		if err != nil {
			return err
		}
		return addAPIKey(set, k)
	})
	return set, err
}

// parseAPIKey parses one line of a file of keys. It only checks the syntax.
func parseAPIKey(line string) (APIKey, error) {
	id, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	hash, details, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if strings.HasPrefix(id, apiKeyPrefix) {
		return APIKey{}, errors.New("the line begins with an API key: write the ID and the hash of the key instead, and replace the key with a new one")
	}
	k := APIKey{ID: id, Hash: hash}
	if details = strings.TrimSpace(details); details == "" {
		return k, nil
	}
	var d apiKeyDetails
	if err := strictJSON(details, &d); err != nil {
		return APIKey{}, fmt.Errorf("the JSON after the hash: %w", err)
	}
	k.Subject, k.Claims, k.Issued, k.Expires = d.Subject, plainClaims(d.Claims), d.Issued, d.Expires
	return k, nil
}

// String formats k as a line of a file of keys.
func (k APIKey) String() string {
	line := k.ID + " " + k.Hash
	b, err := json.Marshal(apiKeyDetails{k.Subject, k.Claims, k.Issued, k.Expires})
	if err == nil && string(b) != "{}" {
		line += " " + string(b)
	}
	return line
}

// NewAPIKey creates a key for id, issued now. key is for the user and cannot be recovered later. entry is the record to store; the
// caller may set its Subject, Claims and Expires. id must be 1 to 64 letters, digits, dots and dashes.
func NewAPIKey(id string) (key string, entry APIKey, err error) {
	if !validAPIKeyID(id) {
		return "", APIKey{}, fmt.Errorf("auth: the ID of an API key is 1 to %d letters, digits, dots and dashes", apiKeyMaxID)
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	key = apiKeyPrefix + id + "_" + apiKeyEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(key))
	issued := time.Now().UTC().Truncate(time.Second)
	return key, APIKey{ID: id, Hash: apiKeyHash + hex.EncodeToString(hash[:]), Issued: issued}, nil
}

// strictJSON decodes text, which must be exactly one JSON object without unknown keys. Numbers in maps are of type [json.Number]:
// see plainClaims.
func strictJSON(text string, to any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("unexpected text after the JSON object")
	}
	return nil
}
