//go:build e2e

package gateway

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/handfast/handfast/e2e/internal/harness"
	"github.com/handfast/handfast/internal/redistest"
	"github.com/handfast/handfast/websocket"
)

// A user who logs out at one node is disconnected from all nodes, and cannot use the same token again at any node.
func TestLogoutAcrossNodes(t *testing.T) {
	shared := fmt.Sprintf(protected, key) + fmt.Sprintf("store: {redis: {url: %q}}\n", redistest.Start(t, "").URL())
	nodes := []*server{serve(t, shared), serve(t, shared)}
	alice, bob := token("alice", time.Hour), token("bob", time.Hour)
	var hers, his []*websocket.Conn
	for _, n := range nodes {
		hers = append(hers, dial(t, n.url("chat"), as(alice)))
		his = append(his, dial(t, n.url("chat"), as(bob)))
	}
	page := strings.Replace(strings.TrimSuffix(nodes[0].url("chat"), "/chat"), "ws://", "http://", 1)
	// curl reads the token from its standard input: every user of the machine could read the command line.
	cmd := exec.CommandContext(t.Context(), "curl", "-sS", "-X", "POST", "-o", "/dev/null", "-w", "%{http_code}", "-H", "@-", page+"/logout")
	cmd.Stdin = strings.NewReader("Authorization: Bearer " + alice)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "204" {
		t.Fatalf("logout: %s, %v", out, err)
	}
	for i, c := range hers {
		if got := code(t, c); got != 4401 {
			t.Errorf("node %d: closed with %v", i, got)
		}
		t.Logf("node %d: closed %v after the logout was sent", i, time.Since(began).Round(time.Millisecond))
	}
	for i, n := range nodes {
		echoed(t, his[i])
		if got := refused(t, n.url("chat"), as(alice)); got != 401 {
			t.Errorf("node %d: the same token again: %d", i, got)
		}
	}
}

// HAProxy sends the client's address with the PROXY protocol, in both versions.
func TestBehindHAProxy(t *testing.T) {
	back := harness.FreePort(t)
	s := serve(t, fmt.Sprintf(`
listen: [{address: "127.0.0.1:%s", tls: off, proxy_protocol: {from: [127.0.0.1]}}]
admin: {address: "127.0.0.1:0"}
limits: {connections_per_address: 2}
endpoints: [{name: open, path: /open, target: echo, auth: [anonymous]}]
`, back))
	var conf strings.Builder
	conf.WriteString("defaults\n mode tcp\n timeout connect 1m\n timeout client 1m\n timeout server 1m\n")
	var ports []string
	for i, send := range []string{"send-proxy", "send-proxy-v2"} {
		ports = append(ports, harness.FreePort(t))
		fmt.Fprintf(&conf, "listen l%d\n bind 127.0.0.1:%s\n server s 127.0.0.1:%s %s\n", i, ports[i], back, send)
	}
	u := harness.NewUser(t)
	u.Start("127.0.0.1:"+ports[1], "haproxy", "-f", u.Write("haproxy.cfg", conf.String()))
	for i, port := range ports {
		client := fmt.Sprintf("127.0.0.%d", 50+i)
		url := fmt.Sprintf("ws://127.0.0.1:%s/open", port)
		for range 2 {
			echoed(t, dial(t, url, from(client)))
		}
		if _, body := s.admin(t, "/connections?addr="+client); !strings.Contains(body, `"total": 2`) {
			t.Errorf("%s: %s", client, body)
		}
		if got := refused(t, url, from(client)); got != 429 {
			t.Errorf("%s: the third: %d", client, got)
		}
	}
}

// nginx sends the client's address in X-Forwarded-For. The server ignores this header from all other peers.
func TestBehindNginx(t *testing.T) {
	s := serve(t, `
listen: [{address: "127.0.0.1:0", tls: off}]
admin: {address: "127.0.0.1:0"}
trusted_proxies: [127.0.0.1]
endpoints: [{name: open, path: /open, target: echo, auth: [anonymous]}]
`)
	port, u := harness.FreePort(t), harness.NewUser(t)
	back := strings.TrimSuffix(strings.TrimPrefix(s.url("open"), "ws://"), "/open")
	conf := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr; worker_processes 1;
events {}
http {
  access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  server {
    listen 127.0.0.1:%[2]s;
    location / {
      proxy_pass http://%[3]s; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}`, u.Home, port, back)
	u.Start("127.0.0.1:"+port, "nginx", "-c", u.Write("nginx.conf", conf), "-p", u.Home)
	opts := from("127.0.0.60")
	opts.Header = map[string][]string{"X-Forwarded-For": {"203.0.113.66"}} // forged by the client
	echoed(t, dial(t, fmt.Sprintf("ws://127.0.0.1:%s/open", port), opts))
	if _, body := s.admin(t, "/connections"); !strings.Contains(body, `"addr": "127.0.0.60"`) {
		t.Errorf("behind nginx: %s", body)
	}
	opts = from("127.0.0.61")
	opts.Header = map[string][]string{"X-Forwarded-For": {"203.0.113.66"}}
	echoed(t, dial(t, s.url("open"), opts))
	if _, body := s.admin(t, "/connections?addr=127.0.0.61"); !strings.Contains(body, `"total": 1`) {
		t.Errorf("without nginx: %s", body)
	}
}
