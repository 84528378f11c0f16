package certs

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ticketWindow is how long one key encrypts tickets.
const ticketWindow = 12 * time.Hour

const (
	minSecret  = 32 // the minimum number of bytes of a secret
	maxSecrets = 8  // the maximum number of secrets in a file
)

// ticketPeriod returns the number of the window that contains a time. The number is the same on all nodes whose clocks agree.
func ticketPeriod(now time.Time) int64 { return now.Unix() / int64(ticketWindow/time.Second) }

// TicketKeys returns the session ticket keys for a ticket file. Nodes with the same file get the same keys without communicating. The file
// contains one or more secrets, one per line: at least 32 random bytes in base64, such as the output of "openssl rand -base64 32". Empty
// lines and lines that begin with # are ignored. The keys are derived from the secrets and the time (HKDF with SHA-256, RFC 5869): each
// secret has one key for every 12 hours since 1970.
//
// The first secret's key for the current window of 12 hours encrypts new tickets. That key, the first secret's keys for the windows before
// and after, and the keys of the other secrets decrypt the tickets of returning clients. So a session can be resumed for 12 to 24 hours,
// and small clock differences between nodes do not matter.
//
// To replace a secret without losing sessions, add the new one as the second line on all nodes; then move it to the first line; a
// day later remove the old one. Only that last step makes old tickets useless to a thief: with a secret, the keys of all times can
// be derived, and recorded TLS 1.2 sessions that were resumed can be decrypted. TLS 1.3 sessions cannot, because every resumption
// has a key exchange of its own.
//
// The keys are in the order for [tls.Config.SetSessionTicketKeys]: the first key encrypts.
func TicketKeys(file []byte, now time.Time) ([][32]byte, error) {
	secrets, err := parseSecrets("ticket file", file)
	if err != nil {
		return nil, err
	}
	return ticketKeys(secrets, now), nil
}

// ticketKeys derives the keys for a time.
func ticketKeys(secrets [][]byte, now time.Time) [][32]byte {
	var keys [][32]byte
	for _, secret := range secrets {
		for _, step := range []int64{0, -1, 1} {
			info := "handfast session ticket key 1, window " + strconv.FormatInt(ticketPeriod(now)+step, 10)
			key, err := hkdf.Key(sha256.New, secret, nil, info, 32)
			if err != nil {
				panic("hkdf: " + err.Error()) // only fails for keys longer than 8 KB
			}
			keys = append(keys, [32]byte(key))
		}
	}
	return keys
}

// parseSecrets parses a ticket file. Its errors contain no part of its content.
func parseSecrets(path string, content []byte) ([][]byte, error) {
	const hint = "write one line of 32 random bytes in base64, the same on all nodes: openssl rand -base64 32"
	var secrets [][]byte
	number := 0
	for line := range bytes.Lines(content) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(string(line))
		if err != nil {
			return nil, &Error{path, fmt.Errorf("line %d is not base64", number), hint}
		}
		if len(secret) < minSecret {
			return nil, &Error{path, fmt.Errorf("line %d holds %d bytes, fewer than %d", number, len(secret), minSecret), hint}
		}
		secrets = append(secrets, secret)
	}
	switch {
	case len(secrets) == 0:
		return nil, &Error{path, errors.New("holds no secret"), hint}
	case len(secrets) > maxSecrets:
		return nil, &Error{path, fmt.Errorf("holds %d secrets, more than %d", len(secrets), maxSecrets),
			"remove the secrets with which no ticket has been encrypted for a day"}
	}
	return secrets, nil
}
