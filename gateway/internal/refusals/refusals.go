// Package refusals stores the last rejected handshakes with their reasons, for the operators of the server. Its memory is limited,
// and it stores no credentials: no query values, no headers except Origin, and only the path of a request.
package refusals

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/handfast/handfast/internal/visible"
)

// Refusal is a rejected handshake.
type Refusal struct {
	Time     time.Time `json:"time"`
	Addr     string    `json:"addr"`               // the client's address
	Via      string    `json:"via,omitempty"`      // the balancer that has sent the PROXY header
	Endpoint string    `json:"endpoint,omitempty"` // "" if the request did not reach an endpoint
	Method   string    `json:"method,omitempty"`
	Host     string    `json:"host,omitempty"`
	Path     string    `json:"path,omitempty"`
	Query    []string  `json:"query,omitempty"` // the names of the parameters, without their values
	Origin   string    `json:"origin,omitempty"`
	Agent    string    `json:"user_agent,omitempty"`
	Stage    string    `json:"stage"`
	Status   int       `json:"status,omitempty"` // the status of the reply; 0 means there was none
	Clause   string    `json:"clause,omitempty"` // the clause that was violated
	Reason   string    `json:"reason"`
	Rule     string    `json:"rule,omitempty"` // the rule that denied the handshake
	Hint     string    `json:"hint,omitempty"` // the next step
}

// maxText is the maximum length of texts that a client, or a server behind this one, has chosen.
const maxText = 256

// Log stores the last refusals. Its methods may be called from any goroutine.
type Log struct {
	mu   sync.Mutex
	ring []Refusal
	next int // the index of the next refusal
	full bool
}

// Keep limits the log to the last n refusals.
func (l *Log) Keep(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n == len(l.ring) {
		return
	}
	newest := l.list()
	l.ring, l.next, l.full = make([]Refusal, n), 0, false
	for _, r := range slices.Backward(newest[:min(n, len(newest))]) {
		l.add(r)
	}
}

// Add cuts the texts of r that are too long, stores r, and returns the stored refusal.
func (l *Log) Add(r Refusal) Refusal {
	for _, s := range []*string{&r.Method, &r.Host, &r.Path, &r.Origin, &r.Agent, &r.Reason, &r.Hint} {
		*s = cut(*s)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(r)
	return r
}

func (l *Log) add(r Refusal) {
	if len(l.ring) == 0 {
		return
	}
	l.ring[l.next] = r
	if l.next++; l.next == len(l.ring) {
		l.next, l.full = 0, true
	}
}

// List returns the stored refusals, newest first.
func (l *Log) List() []Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list()
}

func (l *Log) list() []Refusal {
	list := slices.Clone(l.ring[:l.next])
	if l.full {
		list = append(slices.Clone(l.ring[l.next:]), list...)
	}
	slices.Reverse(list)
	return list
}

// Names returns the names of the parameters in a query, sorted, at most 16 of them. It returns no values, which may be credentials,
// and no parameter without "=", which may be a value.
func Names(query string) []string {
	var names []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, ok := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if !ok || err != nil || name == "" || len(name) > 64 || slices.Contains(names, name) {
			continue
		}
		if names = append(names, printable(name)); len(names) == 16 {
			break
		}
	}
	slices.Sort(names)
	return names
}

// cut shortens a text, and replaces characters that are not printable, some of which control a terminal.
func cut(s string) string { return printable(visible.Cut(s, maxText)) }

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// WriteText writes the list as text for humans.
func WriteText(w io.Writer, list []Refusal) error {
	var b strings.Builder
	if len(list) == 0 {
		b.WriteString("no handshake was refused\n")
	}
	for _, r := range list {
		answer := "no response"
		if r.Status != 0 {
			answer = fmt.Sprint(r.Status)
		}
		fmt.Fprintf(&b, "%s  %s  %s at %s\n", r.Time.UTC().Format(time.RFC3339), r.Addr, answer, r.Stage)
		row := func(name, value string) {
			if value != "" {
				fmt.Fprintf(&b, "  %-9s %s\n", name, value)
			}
		}
		path := r.Path
		if len(r.Query) > 0 {
			path += "?" + strings.Join(r.Query, "=…&") + "=…"
		}
		row("request", strings.TrimSpace(r.Method+" "+path))
		row("host", r.Host)
		row("origin", r.Origin)
		row("endpoint", r.Endpoint)
		row("via", r.Via)
		row("agent", r.Agent)
		row("why", r.Reason)
		row("rule", r.Rule)
		row("clause", r.Clause)
		row("next step", r.Hint)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
