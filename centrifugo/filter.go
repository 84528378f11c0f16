package centrifugo

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/centrifugal/protocol"

	"github.com/handfast/handfast/hub"
)

const (
	maxFilter      = 64 // the maximum total number of nodes and values of a filter
	maxFilterDepth = 8
	maxFilterSize  = 4 << 10 // the maximum number of bytes of keys and values, which stay in memory during the subscription
)

// tags is a filter: a function that reports whether the tags of a publication match.
type tags func(map[string]string) bool

// filterOf returns the filter of a request; nil if there is none. In a keyed collection, removals pass every filter, because the
// client may have the key.
func filterOf(n *protocol.FilterNode, keyed bool) (func(*hub.Publication) bool, error) {
	if n == nil {
		return nil, nil
	}
	left := filterBudget{maxFilter, maxFilterSize}
	f := compile(n, maxFilterDepth, &left)
	if f == nil {
		return nil, errBadRequest
	}
	return func(p *hub.Publication) bool { return keyed && p.Removed || f(p.Tags) }, nil
}

// filterBudget is the remaining number of parts and bytes that a filter may have.
type filterBudget struct{ parts, bytes int }

// take reserves room for a node without its children, and reports whether there is enough.
func (r *filterBudget) take(n *protocol.FilterNode) bool {
	r.parts -= 1 + len(n.Vals)
	r.bytes -= len(n.Key) + len(n.Val)
	for _, val := range n.Vals {
		r.bytes -= len(val)
	}
	return r.parts >= 0 && r.bytes >= 0
}

// compile returns the filter of a node, or nil if it is not valid or the whole filter is too large.
func compile(n *protocol.FilterNode, depth int, budget *filterBudget) tags {
	if !budget.take(n) || depth == 0 {
		return nil
	}
	if n.Op == "" {
		return comparison(n)
	}
	all := make([]tags, len(n.Nodes))
	for i, child := range n.Nodes {
		if child == nil {
			return nil
		}
		if all[i] = compile(child, depth-1, budget); all[i] == nil {
			return nil
		}
	}
	switch {
	case n.Op == "and" && len(all) > 0:
		return func(t map[string]string) bool {
			return !slices.ContainsFunc(all, func(f tags) bool { return !f(t) })
		}
	case n.Op == "or" && len(all) > 0:
		return func(t map[string]string) bool { return slices.ContainsFunc(all, func(f tags) bool { return f(t) }) }
	case n.Op == "not" && len(all) == 1:
		return func(t map[string]string) bool { return !all[0](t) }
	}
	return nil
}

// comparison returns the filter of a leaf.
func comparison(n *protocol.FilterNode) tags {
	key, val, vals := n.Key, n.Val, n.Vals
	text := func(f func(s, val string) bool) tags {
		return func(t map[string]string) bool {
			s, ok := t[key]
			return ok && f(s, val)
		}
	}
	switch n.Cmp {
	case "ex":
		return func(t map[string]string) bool { _, ok := t[key]; return ok }
	case "nex":
		return func(t map[string]string) bool { _, ok := t[key]; return !ok }
	}
	if key == "" {
		return nil
	}
	switch n.Cmp {
	case "eq":
		return text(func(s, val string) bool { return s == val })
	case "neq":
		return func(t map[string]string) bool { s, ok := t[key]; return !ok || s != val }
	case "in":
		return func(t map[string]string) bool { return slices.Contains(vals, t[key]) }
	case "nin":
		return func(t map[string]string) bool { return !slices.Contains(vals, t[key]) }
	case "sw":
		return text(strings.HasPrefix)
	case "ew":
		return text(strings.HasSuffix)
	case "ct":
		return text(strings.Contains)
	}
	return numeric(n)
}

// numeric returns the filter of a leaf that compares numbers.
func numeric(n *protocol.FilterNode) tags {
	var signs []int // the accepted results of comparing the tag with the value
	switch n.Cmp {
	case "lt":
		signs = []int{-1}
	case "lte":
		signs = []int{-1, 0}
	case "gt":
		signs = []int{1}
	case "gte":
		signs = []int{1, 0}
	default:
		return nil
	}
	limit, ok := decimal(n.Val)
	key := n.Key
	return func(t map[string]string) bool {
		v, valid := decimal(t[key])
		return ok && valid && slices.Contains(signs, cmp.Compare(v, limit))
	}
}

// decimal parses a number in decimal digits.
func decimal(s string) (float64, bool) {
	if strings.ContainsFunc(s, func(c rune) bool { return !strings.ContainsRune("0123456789+-.eE", c) }) {
		return 0, false // not decimal: for example NaN, Inf, or a hexadecimal number
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil && !math.IsInf(v, 0)
}
