//go:build e2e

package channels

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/handfast/handfast/e2e/internal/harness"
)

var rewrite = flag.Bool("rewrite", false, "write client/js/channels.d.ts again")

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// absolute returns the absolute path of a file, for a program that runs in another directory.
func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// The browser client passes all steps of client.mjs.
func TestClient(t *testing.T) {
	const secret = "the key of all tokens in the tests of the browser client"
	u := harness.NewUser(t)
	address := "127.0.0.1:" + harness.FreePort(t)
	config := u.Write("handfast.yaml", `
listen: [{address: "`+address+`", tls: off}]
auth:
  users: {jwt: {secret: "`+secret+`", skew: 0s, from: [bearer, subprotocol]}}
apps: [{id: main, key: k, secret: api-key}]
hub:
  namespaces:
    - {history: 10000}
    - {prefix: room-, presence: true}
    - {prefix: short-, history: 2}
    - {prefix: paced-, rate: 1, burst: 1}
endpoints:
  - path: /channels
    target: channels
    auth: [users]
    expiry: {warn: 1h}
    rules:
      - {actions: [connect], do: allow}
      - {channels: ["chat-*", "room-*", "short-*", "paced-*"], do: allow}
      - {channels: ["written-*"], when: '"writer" in (claims.roles ?? [])', do: allow}
  - {path: /connection/websocket, target: centrifugo, auth: [anonymous]}
`)
	u.Serve("--config", config)
	args := append(harness.NodeWebSocket(t), absolute(t, "client.mjs"), address, "api-key", secret)
	got := u.Run(u.Command("node", args...))
	if got.Code != 0 || strings.Count(got.Stdout, "ok ") != 13 {
		t.Errorf("%+v", got)
	}
}

// If WebSocket is not available, every method of a client fails with an error that says what to do.
func TestNoWebSocket(t *testing.T) {
	u := harness.NewUser(t)
	u.Must(`cat > client.mjs <<'E'
delete globalThis.WebSocket;
const { Channels } = await import(process.env.module);
const client = new Channels("ws://127.0.0.1:1/channels");
const why = [];
const note = (error) => why.push(error);
client.subscribe("a", { onEnd: note });
await client.subscribe("b").ready.catch(note);
await client.publish("a", 1).catch(note);
await client.subscribe("c").ready.catch(note);
await client.history("a").catch(note);
if (why.length !== 5) throw new Error("there are " + why.length + " errors");
for (const e of why) {
  if (e.name !== "ChannelsError" || e.code !== "unsupported" || !/no WebSocket: use Node 22 or later, or set the option connect/.test(e.message)) throw e;
}
if (client.state !== "closed") throw new Error(client.state);
client.close();
E
node client.mjs`, "module="+absolute(t, "../../client/js/channels.js"))
}

// tsc runs the TypeScript compiler.
func tsc(t *testing.T, args ...string) {
	t.Helper()
	u := harness.NewUser(t)
	args = append([]string{absolute(t, "node_modules/typescript/bin/tsc"), "--strict", "--target", "es2022", "--module", "nodenext",
		"--lib", "es2022,dom"}, args...)
	if got := u.Run(u.Command("node", args...)); got.Code != 0 {
		t.Fatalf("%+v", got)
	}
}

// The type declarations match the comments of the module, and a TypeScript program can use them.
func TestTypes(t *testing.T) {
	made := t.TempDir()
	tsc(t, "--allowJs", "--checkJs", "--declaration", "--emitDeclarationOnly", "--outDir", made, absolute(t, "../../client/js/channels.js"))
	want, err := os.ReadFile(filepath.Join(made, "channels.d.ts"))
	if err != nil {
		t.Fatal(err)
	}
	const file = "../../client/js/channels.d.ts"
	if *rewrite {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not up to date: go test -tags e2e ./e2e/channels -run TestTypes -rewrite", file)
	}
	tsc(t, "--noEmit", absolute(t, "types.ts"))
}

// The package contains only the files that its users need, and its exports refer to existing files.
func TestPackage(t *testing.T) {
	u := harness.NewUser(t)
	cmd := u.Command("npm", "pack", "--dry-run", "--json", "--offline", "--update-notifier=false")
	cmd.Dir = absolute(t, "../../client/js")
	got := u.Run(cmd)
	var packs []struct {
		Name  string
		Files []struct{ Path string }
	}
	if err := json.Unmarshal([]byte(got.Stdout), &packs); err != nil || len(packs) != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	var files []string
	for _, f := range packs[0].Files {
		files = append(files, f.Path)
	}
	slices.Sort(files)
	if want := []string{"README.md", "channels.d.ts", "channels.js", "package.json"}; !slices.Equal(files, want) {
		t.Errorf("%s has %q, want %q", packs[0].Name, files, want)
	}
	u.Must(`mkdir -p node_modules/@handfast && ln -s "$js" node_modules/@handfast/channels
node --input-type=module -e 'import { Channels, subprotocol } from "@handfast/channels"; if (!Channels || !subprotocol) process.exit(1)'`,
		"js="+absolute(t, "../../client/js"))
}
