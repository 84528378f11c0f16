package auth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/handfast/handfast/internal/bounded"
)

// alice returns an identity with claims as decoded from a token.
func alice(t testing.TB, claims string) *Identity {
	t.Helper()
	var c tokenClaims
	if err := json.Unmarshal([]byte(claims), &c); err != nil {
		t.Fatal(err)
	}
	return &Identity{Subject: "alice", Method: "jwt", Claims: c.m}
}

func allow(condition string) Rule { return Rule{Effect: Allow, If: condition} }
func deny(condition string) Rule  { return Rule{Effect: Deny, If: condition} }

var (
	connect   = Action{Do: "connect", Endpoint: "chat"}
	subscribe = Action{Do: "subscribe", Endpoint: "chat", Channel: "team-alice"}
	publish   = Action{Do: "publish", Endpoint: "chat", Channel: "news"}
)

func TestRules(t *testing.T) {
	const claims = `{"roles":["user","admin"],"level":5,"org":{"id":9007199254740993},"scope":"read write","verified":true}`
	for _, tt := range []struct {
		name    string
		rules   []Rule
		action  Action
		allowed bool
		rule    int
	}{
		{"no rules", nil, connect, true, -1},
		{"none applies", []Rule{allow("false")}, connect, false, -1},
		{"the claim of a role", []Rule{allow(`"admin" in claims.roles`)}, connect, true, 0},
		{"a missing role", []Rule{allow(`"root" in claims.roles`)}, connect, false, -1},
		{"one's own channel", []Rule{allow(`channel startsWith "team-" + user`)}, subscribe, true, 0},
		{"another's channel", []Rule{allow(`channel startsWith "team-" + user`)}, publish, false, -1},
		{"the first that applies", []Rule{deny(`action == "publish"`), allow("true")}, publish, false, 0},
		{"the one behind it", []Rule{deny(`action == "publish"`), allow("true")}, subscribe, true, 1},
		{"denied behind allowed", []Rule{allow("true"), deny("true")}, subscribe, true, 0},
		{"by endpoint", []Rule{allow(`endpoint == "chat" && method == "jwt"`)}, connect, true, 0},
		{"a number", []Rule{allow("claims.level >= 5")}, connect, true, 0},
		{"a long number is exact", []Rule{allow("claims.org.id == 9007199254740992")}, connect, false, -1},
		{"a list in a text", []Rule{allow(`"write" in split(claims.scope, " ")`)}, connect, true, 0},
		{"a truth value", []Rule{allow("claims.verified == true")}, connect, true, 0},
		{"a loop", []Rule{allow(`any(claims.roles, # startsWith "ad")`)}, connect, true, 0},
		{"a pattern", []Rule{allow(`channel matches "^team-[a-z]+$"`)}, subscribe, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := NewRules(tt.rules...)
			if err != nil {
				t.Fatal(err)
			}
			d := r.Decide(alice(t, claims), tt.action)
			if d.Allowed != tt.allowed || d.Rule != tt.rule || d.Reason == "" {
				t.Errorf("Decide = %+v, want allowed %t by rule %d", d, tt.allowed, tt.rule)
			}
			if _, err := r.Authorize(alice(t, claims), tt.action); (err == nil) != tt.allowed {
				t.Errorf("Authorize = %v", err)
			}
		})
	}
}

// A missing claim admits no client: it neither satisfies allow rules, nor disables deny rules.
func TestRulesMissingClaims(t *testing.T) {
	for _, tt := range []struct {
		condition string
		fails     bool // the evaluation fails, and so denies; otherwise the condition is false
	}{
		{`"admin" in claims.roles`, false},
		{`claims.role == "admin"`, false},
		{`claims.org.unit.name == "x"`, false},
		{`claims["org"]["unit"] == "x"`, false},
		{`claims.admin == true`, false},
		{`(claims.email ?? "") endsWith "@example.com"`, false},
		{`claims?.org?.unit == "x"`, false},
		{`"x" in claims.org.groups`, false},
		{`claims.email endsWith "@example.com"`, false},
		{`claims.email matches "."`, false},
		{`channel startsWith claims.prefix`, false},
		{`channel startsWith "team-" + claims.team`, true},
		{`claims.level > 3`, true},
		{`claims.level < 3`, true},
		{`any(claims.roles, # == "admin")`, true},
		{`"read" in split(claims.scope, " ")`, true},
		{`claims.roles[0] == "admin"`, false},
		{`claims.admin && user == "alice"`, true},
		{`claims.admin || user == "alice"`, true},
		{`!claims.banned`, true},
	} {
		t.Run(tt.condition, func(t *testing.T) {
			for _, id := range []*Identity{alice(t, "{}"), {Subject: "alice"}} {
				// Whatever the effect of the rule, its failure denies, and later rules are not evaluated.
				for _, effect := range []Effect{Allow, Deny} {
					r, err := NewRules(Rule{Name: "first", Effect: effect, If: tt.condition}, allow("true"))
					if err != nil {
						t.Fatal(err)
					}
					d := r.Decide(id, connect)
					if want := (Decision{Allowed: true, Rule: 1, Reason: "rule 2, allow: true"}); !tt.fails && d != want {
						t.Errorf("%v: %+v, want it to be false", effect, d)
					}
					if tt.fails && (d.Allowed || d.Rule != 0 || d.Name != "first" || !strings.Contains(d.Reason, "cannot be evaluated")) {
						t.Errorf("%v: %+v, want it to fail", effect, d)
					}
				}
			}
		})
	}
}

// A condition on a claim of the wrong type fails, or is false.
func TestRulesOddClaims(t *testing.T) {
	for claims, conditions := range map[string][]string{
		`{"roles":"superadmin"}`:      {`"admin" in claims.roles`, `claims.roles == ["admin"]`},
		`{"roles":{"admin":false}}`:   {`"admin" in keys(claims.roles) && claims.roles.admin == true`},
		`{"roles":[null,1,{}]}`:       {`"admin" in claims.roles`},
		`{"level":"9"}`:               {`claims.level > 3`, `claims.level == 9`},
		`{"level":1e999}`:             {`claims.level < 3`},
		`{"roles":["a","b"],"x":[1]}`: {`claims.roles[7] == "admin"`, `claims.x.y.z == 1`, `claims.x in claims.roles`},
	} {
		for _, condition := range conditions {
			r, err := NewRules(allow(condition))
			if err != nil {
				t.Fatal(err)
			}
			if d := r.Decide(alice(t, claims), connect); d.Allowed {
				t.Errorf("%s with %s: %+v", condition, claims, d)
			}
		}
	}
}

func TestRulesMistakes(t *testing.T) {
	for _, tt := range []struct {
		condition    string
		line, column int
		message      string
	}{
		{"", 0, 0, "the condition is empty"},
		{"  \n", 0, 0, "the condition is empty"},
		{`user == `, 1, 8, "unexpected token EOF"},
		{"user == \"a\" &&\n  chanel == \"b\"", 2, 3, "unknown name chanel"},
		{`user + 1`, 1, 6, "invalid operation"},
		{`user`, 1, 1, "not a bool but string"},
		{`claims.admin`, 1, 1, "claims.admin == true"},
		{`"admin" in user`, 1, 9, "invalid operation"},
		{`now() > now()`, 1, 1, "unknown name now"},
		{`user.length > 3`, 1, 6, "has no field length"},
		{`channel matches user`, 1, 9, "must be a literal"},
		{`channel matches "("`, 1, 9, "missing closing"},
		{`all(claims.a, any(claims.b, # == 1))`, 1, 1, "nested loops"},
		{`len(map(map(claims.a, #), #)) > 1`, 1, 5, "nested loops"},
		{`let a = user + user; a == ""`, 1, 5, "let is not allowed"},
		{`claims.f() == 1`, 1, 8, "no such function"},
		{strings.Repeat("!", 600) + "true", 1, 604, "exceeds maximum allowed nodes"},
		{"user == \"" + strings.Repeat("a", 9000) + `"`, 0, 0, "8 KiB"},
	} {
		_, err := NewRules(allow("true"), Rule{Name: "odd", If: tt.condition})
		var e *RuleError
		if !errors.As(err, &e) || e.Rule != 1 || e.Name != "odd" {
			t.Errorf("%.60q: %v", tt.condition, err)
			continue
		}
		if e.Line != tt.line || e.Column != tt.column || !strings.Contains(e.Message, tt.message) {
			t.Errorf("%.60q: %d:%d %q, want %d:%d %q", tt.condition, e.Line, e.Column, e.Message, tt.line, tt.column, tt.message)
		}
	}
}

// All errors are reported together.
func TestRulesAllMistakes(t *testing.T) {
	_, err := NewRules(allow("usr == 1"), allow("true"), Rule{Name: "x", If: "user =="})
	want := "auth: rule 1, line 1, column 1: unknown name usr\nauth: rule 3 (x), line 1, column 7: unexpected token EOF"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}

func TestRulesDenied(t *testing.T) {
	r, err := NewRules(Rule{Name: "quiet", If: `action == "publish"`}, allow("true"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Authorize(alice(t, "{}"), publish)
	var e *Error
	var d *Denied
	if !errors.As(err, &e) || e.Status != http.StatusForbidden || !errors.As(err, &d) {
		t.Fatalf("%#v", err)
	}
	const want = `auth: "alice" may not publish to the channel "news" at the endpoint "chat": ` +
		`rule 1 (quiet), deny: action == "publish"`
	if err.Error() != want || strings.Contains(e.Reason, "quiet") {
		t.Errorf("%v\nwant %s; the client gets %q", err, want, e.Reason)
	}
	if _, err := r.Authorize(nil, connect); err == nil {
		t.Error("no client may connect")
	}
}

// The cost of a condition is limited whatever the claims are.
func TestRulesBounds(t *testing.T) {
	for _, condition := range []string{`len(1..1000000) > 1`, `all(1..1000, len(1..1000) > 1)`} {
		r, err := NewRules(allow(condition))
		if err != nil {
			t.Fatal(err)
		}
		if d := r.Decide(alice(t, "{}"), connect); d.Allowed || !strings.Contains(d.Reason, "memory budget") {
			t.Errorf("%s: %+v", condition, d)
		}
	}
}

// One decision does not affect the next, which may be for another identity.
func TestRulesForget(t *testing.T) {
	r, err := NewRules(allow(`"admin" in claims.roles`), allow(`len(map(claims.list ?? [], # + 1)) > 0`))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 200 {
				id, want := alice(t, `{"roles":["admin"],"list":[1]}`), true
				if i%2 == 0 {
					id, want = &Identity{Subject: "bob"}, false
				}
				if d := r.Decide(id, connect); d.Allowed != want {
					t.Errorf("%+v of %v", d, id)
				}
			}
		}()
	}
	for range 4 {
		bounded.Receive(t, done)
	}
}

func BenchmarkRules(b *testing.B) {
	r, err := NewRules(deny(`claims.banned == true`), allow(`"admin" in claims.roles`), allow(`channel startsWith "team-" + user`))
	if err != nil {
		b.Fatal(err)
	}
	id := alice(b, `{"sub":"alice","roles":["user","editor"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Authorize(id, subscribe); err != nil {
			b.Fatal(err)
		}
	}
}
