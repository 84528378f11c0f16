package gateway

import (
	"testing"
	"time"

	"github.com/handfast/handfast/auth"
)

// closeCounter is a method that counts how often it was closed.
type closeCounter struct {
	auth.Authenticator
	closed int
}

func (c *closeCounter) Close() error {
	c.closed++
	return nil
}

// A reload closes only those methods that the new configuration does not use.
func TestReloadClosesMethods(t *testing.T) {
	const two = `
auth:
	users: {jwt: {secret: "%s"}}
	staff: {jwt: {secret: "%s", issuer: "https://issuer.example"}}
endpoints:
	- {name: chat, path: /chat, target: echo, auth: [users]}
	- {name: inline, path: /inline, target: echo, auth: [{jwt: {secret: "%s", issuer: other}}]}
`
	const one = `
auth:
	users: {jwt: {secret: "%s"}}
endpoints:
	- {name: chat, path: /chat, target: echo, auth: [users]}
`
	r := run(t, parse(t, two, key, key, key))
	watched := map[string]*closeCounter{}
	for name, m := range r.site.Load().methods.byKey {
		watched[name] = &closeCounter{Authenticator: m.auth}
		m.auth = watched[name]
	}
	expect := func(when string, users, staff, inline int) {
		t.Helper()
		for name, want := range map[string]int{"auth.users": users, "auth.staff": staff, "endpoints[1].auth[0]": inline} {
			if c := watched[name]; c == nil || c.closed != want {
				t.Errorf("%s: %s: %+v, want it closed %d times", when, name, c, want)
			}
		}
	}
	if err := r.Reload(t.Context(), r.with(t, two, key, key, key)); err != nil {
		t.Fatal(err)
	}
	expect("nothing has changed", 0, 0, 0)
	if err := r.Reload(t.Context(), r.with(t, two+"\t- {path: /broken, target: echo, auth: [users], rules: [{when: 'user ==', do: allow}]}\n", key, key, key)); err == nil {
		t.Error("an unusable configuration was accepted")
	}
	expect("a reload that failed", 0, 0, 0)
	if err := r.Reload(t.Context(), r.with(t, one, key)); err != nil {
		t.Fatal(err)
	}
	expect("two are gone", 0, 1, 1)
	wantEcho(t, r.open(t, "/chat", withToken(token("alice", time.Hour, nil))))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	expect("the end", 1, 1, 1)
}
