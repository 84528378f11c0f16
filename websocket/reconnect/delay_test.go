package reconnect

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/handfast/handfast/websocket"
)

func TestWindow(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	tests := []struct {
		name      string
		opts      *Options
		verdict   Verdict
		attempt   int
		after     time.Duration
		low, high time.Duration
	}{
		{"the first", nil, Soon, 1, 0, 0, s},
		{"doubled", nil, Soon, 2, 0, 0, 2 * s},
		{"doubled again", nil, Soon, 5, 0, 0, 16 * s},
		{"bounded", nil, Soon, 6, 0, 0, 30 * s},
		{"forever", nil, Soon, 1 << 30, 0, 0, 30 * s},
		{"later, as 1012 is registered", nil, Later, 1, 0, 5 * s, 30 * s},
		{"later does not grow", nil, Later, 9, 0, 5 * s, 30 * s},
		{"Retry-After", nil, Soon, 1, 120 * s, 120 * s, 121 * s},
		{"Retry-After overrides later", nil, Later, 3, 60 * s, 60 * s, 64 * s},
		{"own bounds", &Options{MinDelay: 100 * ms, MaxDelay: s}, Soon, 1, 0, 0, 100 * ms},
		{"own bounds, grown", &Options{MinDelay: 100 * ms, MaxDelay: s}, Soon, 4, 0, 0, 800 * ms},
		{"own bounds, bounded", &Options{MinDelay: 100 * ms, MaxDelay: s}, Soon, 5, 0, 0, s},
		{"own bounds, half of them", &Options{MinDelay: 1, MaxDelay: 3}, Soon, 2, 0, 0, 3},
		{"own bounds, later", &Options{MaxDelay: s}, Later, 1, 0, 500 * ms, s},
		{"MinDelay above MaxDelay", &Options{MinDelay: time.Minute, MaxDelay: s}, Soon, 7, 0, 0, time.Minute},
	}
	for _, tt := range tests {
		o := tt.opts.withDefaults()
		if low, high := o.window(tt.verdict, tt.attempt, tt.after); low != tt.low || high != tt.high {
			t.Errorf("%s: %v to %v, want %v to %v", tt.name, low, high, tt.low, tt.high)
		}
	}
}

func TestDefaults(t *testing.T) {
	for opts, want := range map[*Options][2]time.Duration{
		nil:                             {defaultMinDelay, defaultMaxDelay},
		{MinDelay: -1, MaxDelay: -1}:    {defaultMinDelay, defaultMaxDelay},
		{MinDelay: 1, MaxDelay: 1}:      {1, 1},
		{MinDelay: 2, MaxDelay: 1}:      {2, 2},
		{MaxDelay: 1}:                   {defaultMinDelay, defaultMinDelay},
		{MinDelay: defaultMaxDelay + 1}: {defaultMaxDelay + 1, defaultMaxDelay + 1},
	} {
		if got := opts.withDefaults(); got.MinDelay != want[0] || got.MaxDelay != want[1] {
			t.Errorf("%+v: from %v to %v, want %v", opts, got.MinDelay, got.MaxDelay, want)
		}
	}
}

// Run ends when a limit is exceeded, not when it is reached, except for the number of attempts.
func TestExceededBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop{opts: Options{MaxAttempts: 3, MaxElapsed: time.Minute}, lastGood: time.Now()}
		time.Sleep(40 * time.Second) //nolint:forbidigo // Sleep uses the fake clock of a synctest bubble
		for _, tt := range []struct {
			attempt int
			delay   time.Duration
			over    bool
		}{{1, 0, false}, {2, 20 * time.Second, false}, {3, 0, true}, {4, 0, true}, {1, 20*time.Second + 1, true}} {
			if err := l.exceeded(Failure{Err: io.EOF, Attempt: tt.attempt}, tt.delay); (err != nil) != tt.over {
				t.Errorf("attempt %d, next delay %v: %v", tt.attempt, tt.delay, err)
			}
		}
	})
}

// The delays cover their whole range, which spreads the clients over time.
func TestDelayIsSpread(t *testing.T) {
	o := (*Options)(nil).withDefaults()
	for _, verdict := range []Verdict{Soon, Later} {
		low, high := o.window(verdict, 4, 0)
		least, most := high, low
		for range 2000 {
			d := o.delay(verdict, Failure{Attempt: 4})
			if d < low || d >= high {
				t.Fatalf("%v: %v is not between %v and %v", verdict, d, low, high)
			}
			least, most = min(least, d), max(most, d)
		}
		if tenth := (high - low) / 10; least > low+tenth || most < high-tenth {
			t.Errorf("%v: 2000 delays are only from %v to %v, want %v to %v", verdict, least, most, low, high)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	tests := []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"120", "", 2 * time.Minute},
		{" 7 ", "", 7 * time.Second},
		{"3600", "", time.Hour},
		{"3601", "", time.Hour},
		{"99999999999999999999", "", time.Hour},
		{"-1", "", 0},
		{"1.5", "", 0},
		{"soon", "", 0},
		{at(90 * time.Second), "", 90 * time.Second},
		{at(-90 * time.Second), "", 0},
		{at(48 * time.Hour), "", time.Hour},
		{at(90 * time.Second), at(60 * time.Second), 30 * time.Second}, // the server's clock is a minute ahead of ours
		{at(90 * time.Second), "nonsense", 90 * time.Second},
		{now.Add(time.Minute).Format(time.RFC850), "", time.Minute},
		{now.Add(time.Minute).Format(time.ANSIC), "", time.Minute},
	}
	for _, tt := range tests {
		h := http.Header{}
		if tt.value != "" {
			h.Set("Retry-After", tt.value)
		}
		if tt.date != "" {
			h.Set("Date", tt.date)
		}
		err := fmt.Errorf("dial: %w", &websocket.HandshakeError{Status: 503, Header: h})
		if got := retryAfter(err, now); got != tt.want {
			t.Errorf("Retry-After %q, Date %q: %v, want %v", tt.value, tt.date, got, tt.want)
		}
	}
	if got := retryAfter(&websocket.CloseError{Code: 1013}, now); got != 0 {
		t.Errorf("a CloseError without a reason: %v", got)
	}
}

func TestRetryAfterInCloseReason(t *testing.T) {
	for reason, want := range map[string]time.Duration{
		"moved to another server; retry-after=1.4": 1400 * time.Millisecond,
		"retry-after=0.0":                          time.Millisecond,
		"retry-after=3, please":                    3 * time.Second,
		"retry-after=99999999":                     time.Hour,
		"retry-after=-1":                           0,
		"retry-after=NaN":                          0,
		"retry-after=":                             0,
		"retry-after=soon":                         0,
		"restart":                                  0,
	} {
		if got := retryAfter(&websocket.CloseError{Code: 1012, Reason: reason, ByPeer: true}, time.Now()); got != want {
			t.Errorf("%q: %v, want %v", reason, got, want)
		}
	}
	if got := retryAfter(&websocket.CloseError{Code: 1012, Reason: "retry-after=1"}, time.Now()); got != 0 {
		t.Errorf("a close by this end: %v", got)
	}
}
