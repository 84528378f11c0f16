//go:build unix

package auth

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/internal/watch"
)

// bcrypt reads only 72 bytes: without a check, a longer password would match if only its beginning is correct.
func TestBcryptLongPassword(t *testing.T) {
	longest := strings.Repeat("x", 72)
	hash, err := bcrypt.GenerateFromPassword([]byte(longest), bcryptMinCost)
	if err != nil {
		t.Fatal(err)
	}
	b := newBasic(t, BasicOptions{}, "ann:"+string(hash)+"\n")
	if _, err := b.Authenticate(withPassword("ann", longest)); err != nil {
		t.Errorf("72 bytes: %v", err)
	}
	for _, tail := range []string{"x", "anything else"} {
		_, err := b.Authenticate(withPassword("ann", longest+tail))
		wantRefusal(t, err, 401, b.Challenge(), longest)
	}
}

// A pipe is refused: opening it would wait for a writer, and so block every handshake.
func TestStoreFileIsARegularFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "passwords")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		_, err := NewBasic(BasicOptions{File: name})
		opened <- err
	}()
	select {
	case err := <-opened:
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("a pipe: %v", err)
		}
	case <-time.After(10 * time.Second):
		w, err := os.OpenFile(name, os.O_WRONLY|syscall.O_NONBLOCK, 0) // unblocks a reader that waits for a writer
		if err == nil {
			w.Close()
		}
		bounded.Receive(t, opened)
		t.Error("opening a pipe blocks")
	}
}

// A file that is written twice within one tick of the file system's clock looks unchanged if its length is also the same, for
// example because only a hash differs. The new content is used nevertheless.
func TestStoreFileChangedTwiceInOneTick(t *testing.T) {
	name := filepath.Join(t.TempDir(), "passwords")
	synctest.Test(t, func(t *testing.T) {
		stamp := time.Now()
		write := func(password string) {
			t.Helper()
			if err := os.WriteFile(name, []byte("ann:"+cheapHash(t, password)+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		write("old")
		b, err := NewBasic(BasicOptions{File: name})
		if err != nil {
			t.Fatal(err)
		}
		write("new")
		<-time.After(3 * time.Second)
		if _, err := b.Authenticate(withPassword("ann", "old")); err == nil {
			t.Error("the old password is still accepted")
		}
		if _, err := b.Authenticate(withPassword("ann", "new")); err != nil {
			t.Errorf("the new password: %v", err)
		}
		// The file is no longer read once it has been unchanged for a long time.
		generation := b.file.load().generation
		for range 5 {
			<-time.After(time.Minute)
			if got := b.file.load().generation; got != generation {
				t.Fatalf("read again without a change: %d, %d", got, generation)
			}
		}
	})
}

func TestKeyFileChangedTwiceInOneTick(t *testing.T) {
	synctest.Test(t, testKeyFileChangedTwiceInOneTick)
}

func testKeyFileChangedTwiceInOneTick(t *testing.T) {
	k, name, stamp := testKeys(), filepath.Join(t.TempDir(), "keys"), time.Now()
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	old := jwksOf(t, jwkOf(t, k.secret))
	broken := make([]byte, len(old))
	write(old)
	f, err := KeyFile(name)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	f.OnError = func(error) { told++ }
	look := func() *key {
		t.Helper()
		<-time.After(watch.CheckInterval)
		found, err := f.find(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		return found[0]
	}
	write(broken)
	look()
	look()
	if told != 1 {
		t.Errorf("a broken file is reported %d times, want once", told)
	}
	other := append([]byte{}, k.secret...)
	other[0] ^= 1
	write(jwksOf(t, jwkOf(t, other)))
	stamp = stamp.Add(time.Hour)
	write(jwksOf(t, jwkOf(t, other)))
	look()
	write(old)
	if got := string(look().material.([]byte)); got != string(k.secret) {
		t.Error("a key that was replaced within one tick is still accepted")
	}
}
