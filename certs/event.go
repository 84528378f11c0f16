package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Event says what happened to something that a [Provider] serves from.
type Event struct {
	Kind EventKind // loaded, recovered or failed
	What Subject   // what it is about
	Path string    // the file, or the host that ACME got a certificate for

	// New and Old are the certificates that came into use and went out of it. They are nil where What is not a
	// certificate, or there is none. They are the same after EventRecovered.
	New, Old *x509.Certificate

	// Err is why nothing was loaded: an [*Error], mostly. What was in use before still is.
	Err error
}

// EventKind says what kind of event an [Event] is.
type EventKind string

// The kinds of events.
const (
	EventLoaded    EventKind = "loaded"    // something new is in use for new handshakes
	EventRecovered EventKind = "recovered" // what failed to load is what it was before: nothing has changed
	EventFailed    EventKind = "failed"    // something could not be loaded; what was in use stays
)

// Subject says what an [Event] is about.
type Subject string

// The subjects of events.
const (
	SubjectCertificate Subject = "certificate"
	SubjectClientCAs   Subject = "client CAs"
	SubjectTickets     Subject = "ticket keys"
	SubjectWatch       Subject = "watch" // the files cannot be watched: they are looked at now and then instead
)

// String says it in a line, for a log: without a hint, and with nothing that is secret.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", e.What, e.Kind)
	if _, ok := errors.AsType[*Error](e.Err); ok {
		b.WriteString(e.Err.Error()) // which names the path
		return b.String()
	}
	b.WriteString(e.Path)
	if e.New != nil {
		fmt.Fprintf(&b, ": serial %X, until %s", e.New.SerialNumber, e.New.NotAfter.UTC().Format(time.RFC3339))
	}
	if e.Old != nil && e.New != nil && !e.Old.Equal(e.New) {
		fmt.Fprintf(&b, " (was %X, until %s)", e.Old.SerialNumber, e.Old.NotAfter.UTC().Format(time.RFC3339))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Info is what is known about one certificate in use.
type Info struct {
	Source Source            // where it came from
	Path   string            // the file of the certificate; for ACME its host
	Cert   *x509.Certificate // nil: ACME has not got it yet
	Err    error             // why the last attempt to get a newer one failed; nil when it did not
}

// Source says where a certificate came from.
type Source string

// The sources of certificates.
const (
	SourceFiles Source = "files"
	SourceACME  Source = "acme"
	SourceDev   Source = "dev"
)
