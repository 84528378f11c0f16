package natsengine

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// logger passes on what the server warns of.
type logger struct {
	warn func(string)

	mu   sync.Mutex
	text string

	refused map[string]time.Time // when that was logged
}

func (l *logger) Noticef(string, ...any) {}
func (l *logger) Debugf(string, ...any)  {}
func (l *logger) Tracef(string, ...any)  {}

func (l *logger) Warnf(format string, args ...any)  { l.say(format, args) }
func (l *logger) Errorf(format string, args ...any) { l.say(format, args) }
func (l *logger) Fatalf(format string, args ...any) { l.say(format, args) }

func (l *logger) say(format string, args []any) {
	text := fmt.Sprintf(format, args...)
	if strings.HasPrefix(text, "Plaintext passwords detected") { // they are in no file of the server
		return
	}
	why := refusal(text)
	switch {
	case why != "":
		text = why + ": " + text
	case strings.Contains(text, "rid:") && strings.Contains(text, "Error flushing"), strings.HasPrefix(text, "Waiting for routing"):
		why = "what follows a refusal"
	}
	now := time.Now()
	l.mu.Lock()
	l.text = text
	again := why != "" && now.Sub(l.refused[why]) < refusedEvery
	if why != "" && !again {
		if l.refused == nil {
			l.refused = map[string]time.Time{}
		}
		l.refused[why] = now
	}
	l.mu.Unlock()
	if again {
		return
	}
	if l.warn != nil {
		l.warn(text)
	}
}

// last returns what was said last.
func (l *logger) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

// What is logged about a connection between nodes that does not come about, in place of the server's words, which follow.
const (
	wrongSecret    = "a node is refused, or refuses this one: the secrets of the cluster differ"
	wrongAuthority = "a node is refused, or refuses this one: the certificate is not of the authority of the cluster"
	wrongTLS       = "a node is refused, or refuses this one: TLS between the nodes fails"

	refusedEvery = time.Minute // at most: a node tries again several times a second
)

// refusal returns what a message of the server says about a node that is refused; "" if it is about something else.
func refusal(text string) string {
	switch {
	case strings.Contains(text, "rid:") && (strings.Contains(text, "authentication error") || strings.Contains(text, "Route Error 'Authorization Violation'")):
		return wrongSecret
	case !strings.Contains(text, "TLS route handshake error"):
		return ""
	case strings.Contains(text, "unknown authority"), strings.Contains(text, "unknown certificate authority"), strings.Contains(text, "bad certificate"):
		return wrongAuthority
	}
	return wrongTLS
}
