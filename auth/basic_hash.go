package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// The limits for hashes in a password file: no single line of the file may overload the server.
const (
	bcryptMinCost, bcryptMaxCost = 5, 14 // the default of htpasswd is 5; 14 takes about a second
	argonMaxMemory               = 256 << 10
	argonMaxWork                 = 1 << 20 // memory in KiB, times passes
	argonMaxThreads              = 16
)

// The parameters of new hashes: the minimum that OWASP recommends for argon2id.
const (
	argonMemory, argonTime, argonThreads = 19 << 10, 2, 1
	argonSalt, argonKey                  = 16, 32 // bytes
)

// errBasicHash describes the valid hashes in a password file.
var errBasicHash = errors.New("the hash is neither bcrypt ($2a$, $2b$, $2y$) nor an argon2id string ($argon2id$v=19$m=...); " +
	"use htpasswd with the option -B")

// passwordHash verifies passwords.
type passwordHash interface{ verify(password string) bool }

// HashPassword returns an argon2id string for a line of a password file, with 19 MiB and two passes.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > basicMaxPassword || !validBasicText(password) {
		return "", fmt.Errorf("auth: a password is 1 to %d bytes of UTF-8 without control characters", basicMaxPassword)
	}
	salt := make([]byte, argonSalt)
	rand.Read(salt) // never fails
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		enc.EncodeToString(salt), enc.EncodeToString(key)), nil
}

// parsePasswordHash parses a hash of any known kind. Its errors do not quote the hash.
func parsePasswordHash(s string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon(s)
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		cost, err := bcrypt.Cost([]byte(s))
		if err != nil || len(s) != 60 {
			return nil, errors.New("the bcrypt hash is not well-formed")
		}
		if cost < bcryptMinCost || cost > bcryptMaxCost {
			return nil, fmt.Errorf("bcrypt with cost %d; %d to %d is allowed", cost, bcryptMinCost, bcryptMaxCost)
		}
		return bcryptHash(s), nil
	}
	return nil, errBasicHash
}

type bcryptHash string

// bcryptMaxPassword is the number of bytes that bcrypt reads. A longer password would match if only its beginning is correct.
const bcryptMaxPassword = 72

func (h bcryptHash) verify(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil && len(password) <= bcryptMaxPassword
}

// argonHash is a parsed argon2id string.
type argonHash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func (h *argonHash) verify(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password), h.key) == 1
}

func (h *argonHash) derive(password string) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
}

// parseArgon parses "$argon2id$v=19$m=19456,t=2,p=1$SALT$KEY".
func parseArgon(s string) (*argonHash, error) {
	parts := strings.Split(s, "$")
	var version, memory, passes, threads uint32
	if len(parts) != 6 {
		return nil, errors.New("the argon2id hash does not have five parts")
	}
	if n, err := fmt.Sscanf(parts[2]+"$"+parts[3]+"$", "v=%d$m=%d,t=%d,p=%d$", &version, &memory, &passes, &threads); n != 4 || err != nil {
		return nil, errors.New("the argon2id hash is not of the form v=19$m=...,t=...,p=... with numbers")
	}
	switch {
	case version != argon2.Version:
		return nil, fmt.Errorf("argon2 version %d is not supported; only %d is", version, argon2.Version)
	case threads < 1 || threads > argonMaxThreads:
		return nil, fmt.Errorf("argon2id with p=%d; 1 to %d is allowed", threads, argonMaxThreads)
	case memory < 8*threads || memory > argonMaxMemory:
		return nil, fmt.Errorf("argon2id with m=%d KiB; %d to %d is allowed", memory, 8*threads, argonMaxMemory)
	case passes < 1 || uint64(passes)*uint64(memory) > argonMaxWork:
		return nil, fmt.Errorf("argon2id with t=%d and m=%d KiB; 1 to %d passes are allowed with that memory", passes, memory,
			argonMaxWork/memory)
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err := errors.Join(err1, err2); err != nil || len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64 {
		return nil, errors.New("the argon2id hash needs a salt of 8 to 64 bytes and a key of 16 to 64, in base64 without padding")
	}
	return &argonHash{memory: memory, time: passes, threads: uint8(threads), salt: salt, key: key}, nil
}

// basicUsers is the content of a password file.
type basicUsers struct {
	generation uint64 // unique to this content
	byName     map[string]basicUser
	names      []string
	seed       maphash.Seed
	checked    atomic.Int64 // number of hashes computed, for tests
}

type basicUser struct {
	hash   passwordHash
	claims map[string]any
}

var basicGeneration atomic.Uint64

func parseBasicUsers(name, text string) (*basicUsers, error) {
	users := &basicUsers{generation: basicGeneration.Add(1), byName: map[string]basicUser{}, seed: maphash.MakeSeed()}
	err := eachLine(name, text, func(line string) error {
		user, rest, ok := strings.Cut(line, ":")
		switch {
		case !ok:
			return errors.New("no colon after the user")
		case user == "" || len(user) > basicMaxUser || !validBasicText(user):
			return fmt.Errorf("a user is 1 to %d bytes of UTF-8 without control characters", basicMaxUser)
		}
		if _, ok := users.byName[user]; ok {
			return fmt.Errorf("user %q is listed twice", user)
		}
		text, details, _ := strings.Cut(strings.TrimSpace(rest), " ")
		hash, err := parsePasswordHash(text)
		if err != nil {
			return fmt.Errorf("user %q: %w", user, err)
		}
		u := basicUser{hash: hash}
		if details = strings.TrimSpace(details); details != "" {
			if err := strictJSON(details, &u.claims); err != nil {
				return fmt.Errorf("user %q: the claims after the hash: %w", user, err)
			}
			plainClaims(u.claims)
		}
		users.byName[user] = u
		users.names = append(users.names, user)
		return nil
	})
	return users, err
}

// verify reports whether the password is that of user. For an unknown user it computes the hash of another user, always the
// same one, so that the time does not reveal which users exist.
func (u *basicUsers) verify(user, password string) bool {
	entry, known := u.byName[user]
	if !known {
		if len(u.names) == 0 {
			return false
		}
		entry = u.byName[u.names[maphash.String(u.seed, user)%uint64(len(u.names))]]
	}
	u.checked.Add(1)
	return entry.hash.verify(password) && known
}

// claims returns the claims of a user in the file.
func (u *basicUsers) claims(user string) map[string]any { return u.byName[user].claims }
