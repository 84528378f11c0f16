package pusher

import (
	"regexp"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
)

const (
	maxName  = 200 // the maximum length of the name of a channel or an event, in bytes
	maxUser  = 128 // the maximum length of the ID of a user, in bytes
	cacheTTL = 30 * time.Minute

	userPrefix = "#server-to-user-" // the prefix of the channels for the connections of a user
)

var (
	channelName = regexp.MustCompile(`^[-a-zA-Z0-9_=@,.;]+$`)
	socketName  = regexp.MustCompile(`^\d+\.\d+$`)
	version     = regexp.MustCompile(`^\d+(\.\d+)*([-+.][-+.0-9A-Za-z]*)?$`)
)

// validUser reports whether the ID of a user is valid.
func validUser(id string) bool { return id != "" && len(id) <= maxUser }

// validChannel reports whether the name of a channel is valid.
func validChannel(name string) bool {
	if user, ok := strings.CutPrefix(name, userPrefix); ok {
		return validUser(user)
	}
	return len(name) <= maxName && channelName.MatchString(name)
}

func isPrivate(name string) bool   { return strings.HasPrefix(name, "private-") }
func isPresence(name string) bool  { return strings.HasPrefix(name, "presence-") }
func isEncrypted(name string) bool { return strings.HasPrefix(name, "private-encrypted-") }

// cachePrefixes are the prefixes of the names of channels that keep their last event.
var cachePrefixes = []string{"cache-", "private-cache-", "presence-cache-", "private-encrypted-cache-"}

func isCache(name string) bool {
	for _, p := range cachePrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// hubName returns the name of a channel in the hub.
func hubName(name string) string {
	if user, ok := strings.CutPrefix(name, userPrefix); ok {
		return hub.UserChannel(user)
	}
	return name
}

// wireName returns the name of a hub's channel for clients.
func wireName(name string) string {
	if user, ok := strings.CutPrefix(name, hub.UserChannel("")); ok {
		return userPrefix + user
	}
	return name
}

// Namespaces returns the namespaces of a hub, and adds those that this protocol requires: presence for channels whose names begin
// with presence- and for those of watchlists, and a history of the last publication for 30 minutes for cache channels. The name and
// all other settings of a namespace are unchanged, so that its channels are still counted together. all is not modified.
func Namespaces(all []hub.Namespace) []hub.Namespace {
	out := append([]hub.Namespace(nil), all...)
	apps := map[string]bool{"": true}
	for _, n := range all {
		apps[n.App] = true
	}
	for _, prefix := range append([]string{"presence-"}, cachePrefixes...) {
		for app := range apps {
			if best, ok := rulesOf(out, app, prefix); ok && best.Prefix != prefix {
				best.Prefix = prefix
				out = append(out, best)
			}
		}
	}
	rest, _ := rulesOf(out, "", "")
	out = append(out, hub.Namespace{App: onlineApp, Name: rest.Name, Presence: true})
	for i := range out {
		n := &out[i]
		n.Presence = n.Presence || isPresence(n.Prefix)
		if isCache(n.Prefix) {
			if n.History == 0 {
				n.History, n.HistoryAge = 1, cacheTTL
			}
			if n.HistoryAge > 0 {
				n.HistoryAge = max(n.HistoryAge, cacheTTL)
			}
		}
	}
	return out
}

// rulesOf returns the namespace of an application's channels with a prefix. ok is false if the application has no namespace of its
// own for such channels. For app "", ok is always true, and best is the zero value if no namespace matches.
func rulesOf(all []hub.Namespace, app, prefix string) (best hub.Namespace, ok bool) {
	ok = app == ""
	for _, n := range all {
		if n.App == app && strings.HasPrefix(prefix, n.Prefix) && (!ok || len(n.Prefix) >= len(best.Prefix)) {
			best, ok = n, true
		}
	}
	return best, ok
}
