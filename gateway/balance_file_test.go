package gateway

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/balance"
	"github.com/handfast/handfast/internal/bounded"
	"github.com/handfast/handfast/observe"
)

// A server file that lists fewer servers than before is applied only when it has been unchanged for a moment; one that lists more
// is applied immediately.
func TestServersFileSettles(t *testing.T) {
	bad := errors.New("line 2: not a URL")
	list := func(names string) (specs []balance.Spec) {
		for _, n := range strings.Fields(names) {
			specs = append(specs, balance.Spec{ID: n})
		}
		return specs
	}
	for name, tt := range map[string]struct {
		reads []string // "!" is an error; the last element is repeated
		want  string
		after time.Duration
	}{
		"more":                      {[]string{"a b c"}, "a b c", 0},
		"the same":                  {[]string{"a b"}, "a b", 0},
		"fewer":                     {[]string{"a"}, "a", settleTime},
		"empty for a moment":        {[]string{"", "a b"}, "a b", settleTime},
		"half written":              {[]string{"a", "a c", "a c b"}, "a c b", 2 * settleTime},
		"half of a line, then all":  {[]string{"!", "a b c"}, "a b c", settleTime},
		"a bad line":                {[]string{"!"}, "!", settleTime},
		"a bad line, then one less": {[]string{"!", "a"}, "a", 2 * settleTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, n := time.Now(), 0
				got, err := readSettled(t.Context(), list("a b"), func() ([]balance.Spec, error) {
					r := tt.reads[min(n, len(tt.reads)-1)]
					if n++; r == "!" {
						return nil, bad
					}
					return list(r), nil
				})
				if took := time.Since(began); took != tt.after || (tt.want == "!") != errors.Is(err, bad) || tt.want != "!" && !slices.Equal(got, list(tt.want)) {
					t.Errorf("got %v, %v after %v, want %s after %v", got, err, took, tt.want, tt.after)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		began, n := time.Now(), 0
		got, err := readSettled(t.Context(), list("z"), func() ([]balance.Spec, error) { // different each time
			n++
			return list(strings.Repeat("x", n)), nil
		})
		if took := time.Since(began); err != nil || len(got) != 1 || took != maxSettleReads*settleTime {
			t.Errorf("got %v, %v after %v, want the last list after %v", got, err, took, maxSettleReads*settleTime)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if _, err := readSettled(ctx, list("z"), func() ([]balance.Spec, error) { return nil, nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// A file with an invalid line is not applied, and the log contains the position of the line.
func TestServersFileWithBadLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "servers")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("10.0.0.1:1\n10.0.0.2:1\n")
	r := run(t, parse(t, balancing(nil, "file: "+file)))
	write("10.0.0.3:1\nhttp://x\n")
	bounded.Until(t, func() bool {
		return strings.Contains(r.log.String(), observe.EventServers) && strings.Contains(r.log.String(), file+": line 2: ")
	})
	_, shown := r.callAdmin(t, "GET", "/balance", nil)
	if !strings.Contains(shown, "ws://10.0.0.1:1") || !strings.Contains(shown, "ws://10.0.0.2:1") || strings.Contains(shown, "10.0.0.3") {
		t.Errorf("got %s, want only the servers of the valid file", shown)
	}
}
