package natsengine

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// logger reports the warnings and errors of the server.
type logger struct {
	warn func(string)

	mu   sync.Mutex
	text string

	lastRefusal map[string]time.Time // when each refusal was last logged
}

func (l *logger) Noticef(string, ...any) {}
func (l *logger) Debugf(string, ...any)  {}
func (l *logger) Tracef(string, ...any)  {}

func (l *logger) Warnf(format string, args ...any)  { l.log(format, args) }
func (l *logger) Errorf(format string, args ...any) { l.log(format, args) }
func (l *logger) Fatalf(format string, args ...any) { l.log(format, args) }

func (l *logger) log(format string, args []any) {
	text := fmt.Sprintf(format, args...)
	// The message is about passwords in a configuration file, which this server does not have.
	if strings.HasPrefix(text, "Plaintext passwords detected") {
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
	again := why != "" && now.Sub(l.lastRefusal[why]) < refusedEvery
	if why != "" && !again {
		if l.lastRefusal == nil {
			l.lastRefusal = map[string]time.Time{}
		}
		l.lastRefusal[why] = now
	}
	l.mu.Unlock()
	if again {
		return
	}
	if l.warn != nil {
		l.warn(text)
	}
}

// last returns the last message.
func (l *logger) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

// The texts that are logged before the server's message when a connection between nodes fails.
const (
	wrongSecret    = "a connection between nodes is rejected: the nodes have different cluster secrets"
	wrongAuthority = "a connection between nodes is rejected: the certificate was not issued by the cluster's CA"
	wrongTLS       = "a connection between nodes is rejected: TLS between the nodes fails"

	refusedEvery = time.Minute // because a node retries several times a second
)

// refusal returns the cause of a failed connection between nodes that the server reports; "" if text does not report one.
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
