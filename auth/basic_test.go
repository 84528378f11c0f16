package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/internal/watch"
)

// passwordFile writes a password file atomically, as an editor does: under another name first.
func passwordFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// cheapHash returns an argon2id string that is verified quickly.
func cheapHash(t testing.TB, password string) string {
	t.Helper()
	h, err := parseArgon("$argon2id$v=19$m=8,t=1,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", strings.Repeat("A", 22), base64.RawStdEncoding.EncodeToString(h.derive(password)))
}

// withPassword returns a request like that of curl -u.
func withPassword(user, password string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth(user, password)
	return r
}

func newBasic(t testing.TB, o BasicOptions, text string) *Basic {
	t.Helper()
	if o.File == "" {
		o.File = filepath.Join(t.TempDir(), "passwords")
		passwordFile(t, o.File, text)
	}
	b, err := NewBasic(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The file has the format that real tools write: htpasswd for bcrypt (htpasswd -nbBC 5 ann 'pa:ss wörd'), HashPassword for
// argon2id.
func TestRFC7617_2_Basic(t *testing.T) {
	const secret, unicode = "pa:ss wörd", "¬µ"
	const bcrypt = "ann:$2y$05$GJKbz.QTqPGY1fk5h.gvR.9vBAH5V4pcEjuDMNoa121o.4bDx1cNS"
	argon, err := HashPassword(unicode)
	if err != nil {
		t.Fatal(err)
	}
	b := newBasic(t, BasicOptions{Realm: `a "b"`}, "# users\n"+bcrypt+"\nbob:"+argon+` {"roles":["admin"]}`+"\n")
	if got, want := b.Challenge(), `Basic realm="a \"b\"", charset="UTF-8"`; got != want {
		t.Errorf("Challenge() = %s, want %s", got, want)
	}
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, tt := range []struct {
		name   string
		fields []string
		user   string
		status int // 0 means admitted, -1 no credentials
	}{
		{"bcrypt", []string{basic("ann:" + secret)}, "ann", 0},
		{"argon2id", []string{"bAsIc " + basic("bob:" + unicode)[6:]}, "bob", 0},
		{"none", nil, "", -1},
		{"another scheme", []string{"Bearer x"}, "", -1},
		{"wrong password", []string{basic("ann:" + unicode)}, "", 401},
		{"unknown user", []string{basic("carl:" + secret)}, "", 401},
		{"case of the user", []string{basic("Ann:" + secret)}, "", 401},
		{"no password", []string{basic("ann:")}, "", 401},
		{"no user", []string{basic(":" + secret)}, "", 401},
		{"no colon", []string{basic("ann")}, "", 401},
		{"not base64", []string{"Basic !!!"}, "", 401},
		{"nothing after the scheme", []string{"Basic"}, "", 401},
		{"control character", []string{basic("ann:" + secret + "\x00")}, "", 401},
		{"not UTF-8", []string{basic("ann:\xff")}, "", 401},
		{"too long", []string{basic("ann:" + strings.Repeat("x", 2000))}, "", 401},
		{"twice", []string{basic("ann:" + secret), basic("ann:" + secret)}, "", 401},
		{"and a token", []string{"Bearer x", basic("ann:" + secret)}, "", 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = "192.0.2.1:" + tt.name // an address of its own, so that the failures of other cases do not count
			r.Header["Authorization"] = tt.fields
			id, err := b.Authenticate(r)
			switch {
			case tt.status == -1:
				if !errors.Is(err, ErrNoCredentials) {
					t.Errorf("error %v, want ErrNoCredentials", err)
				}
			case tt.status != 0:
				wantRefusal(t, err, tt.status, b.Challenge(), secret, unicode, "ann:", basic("ann:" + secret)[8:])
			case err != nil:
				t.Error(err)
			case id.Subject != tt.user || id.Method != "basic" || id.Issued.IsZero() || (id.Claims["roles"] != nil) != (tt.user == "bob"):
				t.Errorf("identity %+v", id)
			}
		})
	}
}

func TestPasswordFile(t *testing.T) {
	good := cheapHash(t, "x")
	salt, key := strings.Repeat("A", 22), strings.Repeat("A", 43)
	bcrypt := "$2y$05$" + strings.Repeat("a", 53)
	for _, tt := range []struct{ text, want string }{
		{"ann:" + good + "\n \n#x\nbob:" + bcrypt, ""},
		{"ann " + good, "passwords:1: no colon"},
		{"\n\nann:secret-in-clear", "passwords:3: "},
		{"ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "htpasswd with the option -B"},
		{"ann:$apr1$ab$cd", "htpasswd with the option -B"},
		{":" + good, "passwords:1: a user is"},
		{"ann:" + good + "\nann:" + good, `passwords:2: user "ann" is listed twice`},
		{"ann:" + good + " [1]", "claims after the hash"},
		{"ann:$2y$04$" + strings.Repeat("a", 53), "cost 4"},
		{"ann:$2y$31$" + strings.Repeat("a", 53), "cost 31"},
		{"ann:$2y$05$" + strings.Repeat("a", 52), "not well-formed"},
		{"ann:$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + key, "m=4194304"},
		{"ann:$argon2id$v=19$m=4294967295,t=4294967295,p=1$" + salt + "$" + key, "m=4294967295"},
		{"ann:$argon2id$v=19$m=65536,t=4294967295,p=1$" + salt + "$" + key, "t=4294967295"},
		{"ann:$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + key, "t=0"},
		{"ann:$argon2id$v=19$m=65536,t=1,p=0$" + salt + "$" + key, "p=0"},
		{"ann:$argon2id$v=19$m=65536,t=1,p=255$" + salt + "$" + key, "p=255"},
		{"ann:$argon2id$v=19$m=7,t=1,p=1$" + salt + "$" + key, "m=7"},
		{"ann:$argon2id$v=16$m=65536,t=1,p=1$" + salt + "$" + key, "version 16"},
		{"ann:$argon2id$v=19$m=65536,t=1,p=1,x=1$" + salt + "$" + key, "with numbers"},
		{"ann:$argon2id$v=19$m=65536,t=1,p=1$AAAA$" + key, "salt"},
		{"ann:$argon2id$v=19$m=65536,t=1,p=1$" + salt + "$AAAA", "salt"},
		{"ann:$argon2id$v=19$m=65536,t=1,p=1$" + salt, "five parts"},
		{"ann:$argon2i$v=19$m=65536,t=1,p=1$" + salt + "$" + key, "neither bcrypt"},
	} {
		name := filepath.Join(t.TempDir(), "passwords")
		passwordFile(t, name, tt.text)
		_, err := NewBasic(BasicOptions{File: name})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.text, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret-in-clear") || strings.Contains(err.Error(), salt)) {
			t.Errorf("the error quotes the hash: %v", err)
		}
	}
	if _, err := NewBasic(BasicOptions{File: "/does/not/exist"}); err == nil {
		t.Error("no file: no error")
	}
	if _, err := NewBasic(BasicOptions{Realm: "a\r\nb"}); err == nil {
		t.Error("a realm with a line break: no error")
	}
	for _, password := range []string{"", "a\x00", "\xff", strings.Repeat("x", 1025)} {
		if _, err := HashPassword(password); err == nil {
			t.Errorf("HashPassword(%q): no error", password)
		}
	}
}

// An unknown user costs as much as a known one: one hash. A remembered password costs none.
func TestBasicCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBasic(t, BasicOptions{Remember: time.Minute}, "ann:"+cheapHash(t, "a")+"\nbob:"+cheapHash(t, "b")+"\n")
		hashes := func() int64 { return b.file.load().checked.Load() }
		for _, tt := range []struct {
			user, password string
			status         int
			hashes         int64 // total number of hashes computed so far
		}{
			{"ann", "a", 0, 1},
			{"ann", "a", 0, 1},
			{"ann", "wrong", 401, 2},
			{"ann", "wrong", 401, 3},
			{"nobody", "a", 401, 4},
			{"nobody", "a", 401, 5},
			{"bob", "a", 401, 6},
			{"bob", "b", 0, 7},
		} {
			_, err := b.Authenticate(withPassword(tt.user, tt.password))
			if tt.status != 0 {
				wantRefusal(t, err, tt.status, b.Challenge())
			} else if err != nil {
				t.Error(err)
			}
			if got := hashes(); got != tt.hashes {
				t.Errorf("%s:%s: %d hashes, want %d", tt.user, tt.password, got, tt.hashes)
			}
		}
		<-time.After(time.Minute)
		if _, err := b.Authenticate(withPassword("ann", "a")); err != nil || hashes() != 8 {
			t.Errorf("after Remember: %v, %d hashes, want 8", err, hashes())
		}
		passwordFile(t, b.o.File, "ann:"+cheapHash(t, "new")+"\n")
		<-time.After(watch.CheckInterval)
		_, err := b.Authenticate(withPassword("ann", "a"))
		wantRefusal(t, err, 401, b.Challenge())
		if _, err := b.Authenticate(withPassword("ann", "new")); err != nil {
			t.Errorf("the new password: %v", err)
		}
		passwordFile(t, b.o.File, "ann:in-clear\n")
		if err := b.Reload(); err == nil || !strings.Contains(err.Error(), "passwords:1: ") || strings.Contains(err.Error(), "in-clear") {
			t.Errorf("Reload of a broken file: %v", err)
		}
		if _, err := b.Authenticate(withPassword("ann", "new")); err != nil {
			t.Errorf("a broken file: %v", err)
		}
	})
}

// An address that guesses passwords is blocked for the user that it tries and finally for all users, even with the right
// password. Other addresses are not affected.
func TestBasicThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBasic(t, BasicOptions{Failures: 3, FailureWindow: time.Minute}, "ann:"+cheapHash(t, "right-password")+"\n")
		try := func(address, user, password string, status int) {
			t.Helper()
			r := withPassword(user, password)
			r.RemoteAddr = address
			_, err := b.Authenticate(r)
			if status != 0 {
				wantRefusal(t, err, status, b.Challenge(), password)
			} else if err != nil {
				t.Errorf("%s from %s: %v", user, address, err)
			}
		}
		try("[2001:db8::1]:1", "ann", "right-password", 0)
		for i := range 3 {
			try(fmt.Sprintf("[2001:db8::%x]:1", i+1), "ann", "wrong-password", 401)
		}
		try("[2001:db8::ffff]:1", "ann", "right-password", 429) // the same /64, even with a remembered password
		try("[2001:db8:0:1::1]:1", "ann", "right-password", 0)  // another network
		try("[2001:db8::1]:1", "bob", "wrong-password", 401)    // another user
		before := b.file.load().checked.Load()
		for i := range 26 {
			try("[2001:db8::1]:1", fmt.Sprint("user", i), "wrong-password", 401)
		}
		try("[2001:db8::1]:1", "user100", "wrong-password", 429) // the address has had 30 failures, counting all users
		if got := b.file.load().checked.Load() - before; got != 26 {
			t.Errorf("%d hashes, want 26: a blocked attempt must not compute one", got)
		}
		<-time.After(time.Minute)
		try("[2001:db8::1]:1", "ann", "right-password", 0)
		if len(b.failures.count) != 0 || b.failures.order.Len() != 0 {
			t.Errorf("%d counters are left", len(b.failures.count))
		}
	})
}

func TestBasicFailuresAreBounded(t *testing.T) {
	f := newBasicFailures(time.Minute, 3, 100)
	for i := range 1000 {
		f.begin(fmt.Sprint(i), fmt.Sprint("192.0.2.", i%250))
	}
	if f.order.Len() != 100 || len(f.count) != 100 {
		t.Errorf("%d counters, want 100", f.order.Len())
	}
	f.undo("999", "192.0.2.249")
	f.undo("never", "counted")
	if f.order.Len() < 98 {
		t.Errorf("undo has removed %d counters", 100-f.order.Len())
	}
}

// gatedHash counts concurrent verifications, and blocks them until the gate opens.
type gatedHash struct {
	running, peak atomic.Int32
	release       chan struct{}
}

func (h *gatedHash) verify(string) bool {
	n := h.running.Add(1)
	for {
		peak := h.peak.Load()
		if n <= peak || h.peak.CompareAndSwap(peak, n) {
			break
		}
	}
	<-h.release
	h.running.Add(-1)
	return true
}

// With many concurrent clients, no more hashes than the limit are computed at the same time, the same password is hashed only once,
// and a client that waits too long gets a time to retry.
func TestBasicConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBasic(t, BasicOptions{Concurrent: 2, Wait: time.Second}, "x:"+cheapHash(t, "x")+"\n")
		h := &gatedHash{release: make(chan struct{})}
		users := b.file.load()
		for i := range 10 {
			users.byName[fmt.Sprint("user", i)] = basicUser{hash: h}
		}
		var in, busy atomic.Int32
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				_, err := b.Authenticate(withPassword(fmt.Sprint("user", i%10), "p"))
				if e, ok := errors.AsType[*Error](err); ok && e.Status == 503 && e.Header.Get("Retry-After") == "1" {
					busy.Add(1)
				} else if err == nil {
					in.Add(1)
				} else {
					t.Error(err)
				}
			})
		}
		<-time.After(2 * time.Second)
		close(h.release)
		wg.Wait()
		if in.Load() != 200 || busy.Load() != 800 || h.peak.Load() != 2 {
			t.Errorf("%d admitted, %d asked to wait, %d concurrent hashes; want 200, 800 and 2", in.Load(), busy.Load(), h.peak.Load())
		}
		if n := b.failures.order.Len(); n != 0 {
			t.Errorf("%d counters of failures, though no password was wrong", n)
		}
	})
}
