package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// shape is a kind of message.
type shape struct {
	name string
	make func(seed uint64, size int) []byte // returns the same message for the same seed, of about that size
}

func shapes(text []byte) []shape {
	words := strings.Fields(string(text))
	return []shape{
		{"events", func(seed uint64, size int) []byte { return filled(seed, size, event) }},
		{"chat", func(seed uint64, size int) []byte { return chat(seed, size, words) }},
		{"records", func(seed uint64, size int) []byte { return filled(seed, size, record) }},
	}
}

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7692)) }

// filled returns an array with as many values as needed for size bytes.
func filled(seed uint64, size int, value func(r *rand.Rand) any) []byte {
	r := source(seed)
	list := []any{value(r)}
	b, _ := json.Marshal(list) // these values can always be encoded
	for len(b) < size {
		list = append(list, value(r))
		b, _ = json.Marshal(list)
	}
	return b[:size]
}

// event is an event of a shop or a ticker, with constant names and varying numbers.
func event(r *rand.Rand) any {
	return map[string]any{
		"id":      r.Uint32(),
		"event":   []string{"order.created", "order.paid", "order.shipped"}[r.IntN(3)],
		"user":    fmt.Sprintf("user-%05d", r.IntN(10_000)),
		"amount":  float64(r.IntN(100_000)) / 100,
		"created": fmt.Sprintf("2026-%02d-%02dT%02d:%02d:%02dZ", 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60)),
	}
}

// chat is a message with text written by people. A text is repeated only after more data than the largest window contains.
func chat(seed uint64, size int, words []string) []byte {
	r := source(seed)
	n := max(size/8, 1)
	at := int(seed) * n % (len(words) - n) // seed is the number of a message, which is small
	b, _ := json.Marshal(map[string]any{
		"room": fmt.Sprintf("room-%d", r.IntN(20)),
		"from": fmt.Sprintf("user-%05d", r.IntN(10_000)),
		"time": 1790000000000 + r.Int64N(1e9),
		"text": strings.Join(words[at:at+n], " "),
	})
	return b
}

// record is a typical API response: an object with many fields, nested objects, and random IDs.
func record(r *rand.Rand) any {
	hexes := func(n int) string { return fmt.Sprintf("%0*x", n, r.Uint64())[:n] }
	name := func() string {
		return []string{"Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Vint"}[r.IntN(8)] + " " +
			[]string{"Lovelace", "Hopper", "Turing", "Dijkstra", "Liskov", "Knuth", "Perlman", "Cerf"}[r.IntN(8)]
	}
	return map[string]any{
		"id": hexes(16), "revision": r.IntN(1000), "etag": "W/\"" + hexes(12) + "\"", "archived": r.IntN(5) == 0,
		"owner":     map[string]any{"id": hexes(16), "displayName": name(), "avatarUrl": "https://cdn.example.com/avatars/" + hexes(16) + ".png"},
		"position":  map[string]any{"lat": r.Float64()*180 - 90, "lng": r.Float64()*360 - 180, "accuracy": r.IntN(50)},
		"state":     []string{"open", "in_progress", "blocked", "done"}[r.IntN(4)],
		"labels":    []string{"priority:" + number(r, 4), "team:" + number(r, 12), "area:" + number(r, 40)},
		"createdAt": 1790000000 + r.IntN(1e7), "updatedAt": 1790000000 + r.IntN(1e7), "assignee": name(), "comments": r.IntN(30),
	}
}

func number(r *rand.Rand, n int) string { return fmt.Sprint(r.IntN(n)) }
