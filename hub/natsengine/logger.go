package natsengine

import (
	"fmt"
	"strings"
	"sync"
)

// logger passes on what the server warns of.
type logger struct {
	warn func(string)

	mu   sync.Mutex
	text string
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
	l.mu.Lock()
	l.text = text
	l.mu.Unlock()
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
