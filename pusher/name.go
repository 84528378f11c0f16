package pusher

import (
	"regexp"
	"strings"
	"time"

	"github.com/handfast/handfast/hub"
)

const (
	maxName  = 200 // the longest name of a channel or an event, in bytes
	maxUser  = 128 // the longest ID of a user
	cacheTTL = 30 * time.Minute

	userPrefix = "#server-to-user-" // of the channel of a user's connections
)

var (
	channelName = regexp.MustCompile(`^[-a-zA-Z0-9_=@,.;]+$`)
	socketName  = regexp.MustCompile(`^\d+\.\d+$`)
	version     = regexp.MustCompile(`^\d+(\.\d+)*([-+.][-+.0-9A-Za-z]*)?$`)
)

// validUser reports whether a user may have this ID.
func validUser(id string) bool { return id != "" && len(id) <= maxUser }

// validChannel reports whether a channel may have this name.
func validChannel(name string) bool {
	if user, ok := strings.CutPrefix(name, userPrefix); ok {
		return validUser(user)
	}
	return len(name) <= maxName && channelName.MatchString(name)
}

func isPrivate(name string) bool   { return strings.HasPrefix(name, "private-") }
func isPresence(name string) bool  { return strings.HasPrefix(name, "presence-") }
func isEncrypted(name string) bool { return strings.HasPrefix(name, "private-encrypted-") }

// cachePrefixes begin the names of channels that keep their last event.
var cachePrefixes = []string{"cache-", "private-cache-", "presence-cache-", "private-encrypted-cache-"}

func isCache(name string) bool {
	for _, p := range cachePrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// hubName returns what the hub calls a channel.
func hubName(name string) string {
	if user, ok := strings.CutPrefix(name, userPrefix); ok {
		return hub.UserChannel(user)
	}
	return name
}

// wireName returns what clients call a channel of the hub.
func wireName(name string) string {
	if user, ok := strings.CutPrefix(name, hub.UserChannel("")); ok {
		return userPrefix + user
	}
	return name
}

// Namespaces returns the rules of a hub's channels with what this protocol requires added to them: presence for channels whose
// names begin with presence- and of those that watchlists need, and the last publication, for 30 minutes, of those that are cache channels. Everything else in a
// rule stays unchanged, and its name, so that the channels are counted with those of the rule that they would have otherwise. all
// is not modified.
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

// rulesOf returns the rules of an application's channels with a prefix: the zero value, when none are for all applications. It
// reports false when the application has no rules of its own for them.
func rulesOf(all []hub.Namespace, app, prefix string) (best hub.Namespace, ok bool) {
	ok = app == ""
	for _, n := range all {
		if n.App == app && strings.HasPrefix(prefix, n.Prefix) && (!ok || len(n.Prefix) >= len(best.Prefix)) {
			best, ok = n, true
		}
	}
	return best, ok
}
