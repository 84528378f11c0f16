package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handfast/handfast/balance"
)

// Resolver looks up names for [Discover]. [*net.Resolver] implements it.
type Resolver interface {
	// LookupNetIP and LookupSRV are as in net.Resolver.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// lookupTimeout limits one DNS query.
const lookupTimeout = 5 * time.Second

// Discover looks up the servers of a URL in the DNS, immediately and then at the interval every, until ctx ends. It calls found
// with the servers or the error, except when the result is the same as the last one.
//
// Each address of a host is a server, with the port of the URL. A host that begins with an underscore is the name of SRV records
// (RFC 2782): those of the best priority are the servers, with their ports and weights.
func Discover(ctx context.Context, r Resolver, target string, every time.Duration, found func([]balance.Spec, error)) {
	var last []balance.Spec
	failed := false
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		list, err := Lookup(ctx, r, target)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failed:
			found(nil, err)
		case err == nil && (failed || !slices.Equal(last, list)):
			found(list, nil)
			last = list
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Lookup does one lookup. The servers are sorted by ID. A name without addresses is an error, so that an empty DNS response removes
// no server.
func Lookup(ctx context.Context, r Resolver, target string) ([]balance.Spec, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, errors.New("proxy: the target to look up is not a valid URL")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	var list []balance.Spec
	if strings.HasPrefix(u.Hostname(), "_") {
		list, err = lookupSRV(ctx, r, u)
	} else {
		list, err = lookupHost(ctx, r, u)
	}
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("proxy: no server was found for %s", u.Hostname())
	}
	slices.SortFunc(list, func(a, b balance.Spec) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(list, func(a, b balance.Spec) bool { return a.ID == b.ID }), nil
}

func lookupHost(ctx context.Context, r Resolver, u *url.URL) (list []balance.Spec, err error) {
	addrs, err := r.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		list = append(list, balance.Spec{ID: u.Scheme + "://" + net.JoinHostPort(a.Unmap().String(), u.Port())})
	}
	return list, nil
}

func lookupSRV(ctx context.Context, r Resolver, u *url.URL) (list []balance.Spec, err error) {
	_, records, err := r.LookupSRV(ctx, "", "", u.Hostname())
	if err != nil {
		return nil, err
	}
	for _, s := range records {
		if s.Priority != records[0].Priority { // sorted by priority; the servers of a worse priority are only for failures
			break
		}
		host := strings.TrimSuffix(strings.ToLower(s.Target), ".")
		list = append(list, balance.Spec{ID: u.Scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(s.Port))), Weight: int(s.Weight)})
	}
	return list, nil
}

// MaxWeight is the largest weight of a server in a configuration or a file. SRV records can have larger weights.
const MaxWeight = 1000

// ParseServers parses a list of servers: one URL per line, optionally followed by weight=N and capacity=N. Empty lines and comments
// after a # are skipped. parse returns the ID for a URL. The error names the line.
func ParseServers(text string, parse func(string) (string, error)) (list []balance.Spec, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		s, err := parseServer(words, parse)
		if err == nil && slices.ContainsFunc(list, func(b balance.Spec) bool { return b.ID == s.ID }) {
			err = fmt.Errorf("%s is already in the list", s.ID)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func parseServer(words []string, parse func(string) (string, error)) (s balance.Spec, err error) {
	if s.ID, err = parse(words[0]); err != nil {
		return s, err
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		v, err := strconv.Atoi(value)
		switch {
		case key != "weight" && key != "capacity":
			return s, fmt.Errorf("%q is neither weight=N nor capacity=N", w)
		case err != nil || v < 0 || key == "weight" && v == 0:
			return s, fmt.Errorf("the value in %q is not a positive number", w)
		case key == "weight" && v > MaxWeight:
			return s, fmt.Errorf("the weight in %q is not from 1 to %d", w, MaxWeight)
		case key == "weight":
			s.Weight = v
		default:
			s.Capacity = v
		}
	}
	return s, nil
}
