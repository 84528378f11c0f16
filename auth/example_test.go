package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/handfast/handfast/auth"
	"github.com/handfast/handfast/websocket"
)

// An endpoint requires a token. Programs send the token in a header, and pages send it with
//
//	new WebSocket(url, ["chat", "handfast.token." + token])
func ExampleGuard() {
	shared := []byte("0123456789abcdef0123456789abcdef") // read from a file in a real program
	secret, err := auth.Secret(shared)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := auth.NewJWT(auth.JWTOptions{
		Keys:    secret,
		Sources: []auth.Source{auth.Bearer(), auth.Subprotocol("handfast.token.")},
	})
	if err != nil {
		log.Fatal(err)
	}
	rules, err := auth.NewRules(auth.Rule{Effect: auth.Allow, If: `"chat" in claims.may`})
	if err != nil {
		log.Fatal(err)
	}
	guard := &auth.Guard{Authenticator: auth.Chain(tokens), Rules: rules}

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, id, err := guard.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}})
		if err != nil {
			log.Print(err) // a response has been sent; the error has the reason, without the token
			return
		}
		defer c.CloseNow()
		c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte("hello, " + id.Subject)})
	}))
	defer server.Close()

	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "alice", "may": []string{"chat"}, "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(shared)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{Subprotocols: []string{"chat", "handfast.token." + token}})
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	m, err := c.Read(ctx)
	fmt.Printf("%s %v; protocol %s\n", m.Data, err, c.Handshake().Subprotocol)

	_, err = websocket.Dial(ctx, server.URL, nil)
	if failed, ok := errors.AsType[*websocket.HandshakeError](err); ok {
		fmt.Println(failed.Status, failed.Header.Get("WWW-Authenticate"))
	}
	// Output:
	// hello, alice <nil>; protocol chat
	// 401 Bearer realm="handfast"
}

// A server that handles connections itself uses only Admit, as its hook.
func ExampleGuard_Admit() {
	guard := &auth.Guard{Authenticator: auth.Anonymous()}
	handler := func(w http.ResponseWriter, r *http.Request) {
		var id *auth.Identity
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Check: func(r *http.Request) (err error) {
				id, err = guard.Admit(r)
				return err
			},
		})
		if err != nil {
			log.Print(err)
			return
		}
		defer c.CloseNow()
		c.Write(r.Context(), websocket.Message{Type: websocket.Text, Data: []byte("hello, " + id.Subject)})
	}
	server := httptest.NewServer(http.HandlerFunc(handler))
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := websocket.Dial(ctx, server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.CloseNow()
	m, err := c.Read(ctx)
	fmt.Printf("%s %v\n", m.Data, err)
	// Output: hello, anonymous <nil>
}

// The decision contains its reason, which names the rule.
func ExampleRules_Decide() {
	rules, err := auth.NewRules(
		auth.Rule{Name: "readers", Effect: auth.Deny, If: `action == "publish" && !("write" in (claims.may ?? []))`},
		auth.Rule{Name: "own team", Effect: auth.Allow, If: `channel startsWith "team-" + user`},
		auth.Rule{Name: "admins", Effect: auth.Allow, If: `"admin" in claims.roles`},
	)
	if err != nil {
		log.Fatal(err)
	}
	alice := &auth.Identity{Subject: "alice", Method: "jwt"}
	for _, a := range []auth.Action{
		{Do: "subscribe", Channel: "team-alice-1"},
		{Do: "publish", Channel: "team-alice-1"},
		{Do: "subscribe", Channel: "team-bob"},
	} {
		d := rules.Decide(alice, a)
		fmt.Println(a.Do, a.Channel, d.Allowed, d.Reason)
	}
	// Output:
	// subscribe team-alice-1 true rule 2 (own team), allow: channel startsWith "team-" + user
	// publish team-alice-1 false rule 1 (readers), deny: action == "publish" && !("write" in (claims.may ?? []))
	// subscribe team-bob false no rule applies
}

// The error of an invalid condition contains its position.
func ExampleNewRules() {
	_, err := auth.NewRules(auth.Rule{Name: "team", Effect: auth.Allow, If: `chanel startsWith "team-"`})
	fmt.Println(err)
	// Output: auth: rule 1 (team), line 1, column 1: unknown name chanel
}
