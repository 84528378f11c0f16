package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Event is a change, or a failed change, of what a [Provider] serves.
type Event struct {
	Kind EventKind // loaded, recovered or failed
	What Subject   // the part of the configuration that has changed
	Path string    // the file, or the host of a certificate from ACME

	// New is the certificate that is used from now on, and Old is the certificate that it replaces. Each is nil if there is no such
	// certificate, or What is not a certificate. With EventRecovered both are the same.
	New, Old *x509.Certificate

	// Err is the reason why nothing was loaded, usually an [*Error]. The previous content remains in use.
	Err error
}

// EventKind is the kind of an [Event].
type EventKind string

// The kinds of events.
const (
	EventLoaded    EventKind = "loaded"    // new content is in use for new handshakes
	EventRecovered EventKind = "recovered" // after a failure, the files again have the content that is in use
	EventFailed    EventKind = "failed"    // content could not be loaded; the previous content remains in use
)

// Subject is the part of the configuration that an [Event] is about.
type Subject string

// The subjects of events.
const (
	SubjectCertificate Subject = "certificate"
	SubjectClientCAs   Subject = "client CAs"
	SubjectTickets     Subject = "ticket keys"
	SubjectWatch       Subject = "watch" // the system cannot watch the files, so they are only polled
)

// String formats the event as a line for a log: without a hint, and without secrets.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", e.What, e.Kind)
	if _, ok := errors.AsType[*Error](e.Err); ok {
		b.WriteString(e.Err.Error()) // the error contains the path
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

// Info describes one certificate in use.
type Info struct {
	Source Source            // the source of the certificate
	Path   string            // the file of the certificate; for ACME the host
	Cert   *x509.Certificate // nil means ACME has not obtained it yet
	Err    error             // why the last attempt to obtain a newer certificate failed; nil if it succeeded
}

// Source is the source of a certificate.
type Source string

// The sources of certificates.
const (
	SourceFiles Source = "files"
	SourceACME  Source = "acme"
	SourceDev   Source = "dev"
)
