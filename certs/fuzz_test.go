package certs

import (
	"errors"
	"testing"
	"time"
)

// The content of any file is either valid, or causes an error that names the file and the next step, and contains nothing of the
// content.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(secretLine('a'))
	f.Add([]byte("# comment\n\nc2hvcnQ=\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\naGVs"))
	f.Fuzz(func(t *testing.T, content []byte) {
		keys, ticketErr := TicketKeys(content, time.Unix(0, 0))
		if ticketErr == nil && (len(keys) == 0 || len(keys) > 3*maxSecrets) {
			t.Errorf("%d keys", len(keys))
		}
		_, poolErr := parseAuthorities([]string{"file"}, [][]byte{content})
		_, pairErr := parsePair("file", content, "file", content)
		for _, err := range []error{ticketErr, poolErr, pairErr} {
			if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Path == "" || e.Hint == "" || len(err.Error()) > 300) {
				t.Errorf("%v", err)
			}
		}
	})
}
