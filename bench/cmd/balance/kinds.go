//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/handfast/handfast/bench/internal/load"
)

// kind is a balancer that can be compared. Each runs as one process on one processor.
type kind struct {
	name    string
	program string   // "" is handfast itself
	version []string // arguments that have it tell its version
	config  string   // with LISTEN, TO and DIR in it, and SECURE or PLAIN at the end of a line that is for one of them; "" for none
	args    []string // with the same, and CONFIG
	secure  []string // further arguments with -tls
}

var kinds = []kind{
	{name: "handfast", version: []string{"version"},
		args:   []string{"balance", "--listen", "LISTEN", "--to", "TO", "--admin", "off", "--check", "off"},
		secure: []string{"--tls", "files", "--cert", "DIR/cert.pem", "--key", "DIR/key.pem"}},
	{name: "HAProxy", program: "haproxy", version: []string{"-v"}, args: []string{"-db", "-f", "CONFIG"}, config: `
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend in
  bind LISTEN PLAIN
  bind LISTEN ssl crt DIR/both.pem alpn http/1.1 SECURE
  default_backend servers
backend servers
  option http-server-close
  server one TO
`},
	{name: "nginx", program: "nginx", version: []string{"-v"}, args: []string{"-c", "CONFIG", "-p", "DIR", "-e", "DIR/nginx.log"}, config: `
daemon off;
master_process off;
pid DIR/nginx.pid;
error_log DIR/nginx.log;
worker_rlimit_nofile 20000;
events { worker_connections 16000; }
http {
  access_log off;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi; uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  upstream servers { server TO; }
  server {
    listen LISTEN; PLAIN
    listen LISTEN ssl; SECURE
    ssl_certificate DIR/cert.pem; SECURE
    ssl_certificate_key DIR/key.pem; SECURE
    ssl_protocols TLSv1.2 TLSv1.3; SECURE
    location / {
      proxy_pass http://servers;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header Host $http_host;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
    }
  }
}
`},
	{name: "Caddy", program: "caddy", version: []string{"version"}, args: []string{"run", "--adapter", "caddyfile", "--config", "CONFIG"}, config: `
{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://LISTEN { PLAIN
https://LISTEN { SECURE
  tls DIR/cert.pem DIR/key.pem SECURE
  reverse_proxy TO
}
`},
}

// balancer is one that runs.
type balancer struct {
	*process
	name    string
	version string // with its name
	addr    string
}

// balancer starts one in front of the server.
func (b *bench) balancer(ctx context.Context, k kind) (*balancer, error) {
	program := b.handfast
	if filepath.IsAbs(k.program) {
		program = k.program
	} else if k.program != "" {
		var err error
		if program, err = exec.LookPath(k.program); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	x := &balancer{name: k.name, addr: l.Addr().String()}
	l.Close()
	file := filepath.Join(b.dir, strings.ReplaceAll(k.name, "/", "-")+".conf")
	fill := strings.NewReplacer("LISTEN", x.addr, "TO", b.to, "DIR", b.dir, "CONFIG", file)
	if err := os.WriteFile(file, []byte(fill.Replace(b.lines(k.config))), 0o600); err != nil {
		return nil, err
	}
	var args []string
	if b.tls {
		k.args = slices.Concat(k.args, k.secure)
	}
	for _, a := range k.args {
		args = append(args, fill.Replace(a))
	}
	told, _ := exec.CommandContext(ctx, program, k.version...).CombinedOutput() // whatever it says
	x.version = strings.TrimSpace(k.name + " " + number(string(told)))
	if x.process, err = b.start(ctx, 0, program, args...); err != nil {
		return nil, err
	}
	if err := load.Await(ctx, x.addr); err != nil {
		x.end()
		return nil, fmt.Errorf("%w: %s", err, x.log)
	}
	return x, nil
}

// lines returns the lines of a configuration that are for the bench, with TLS or without.
func (b *bench) lines(config string) string {
	mark, other := " PLAIN\n", " SECURE\n"
	if b.tls {
		mark, other = other, mark
	}
	var all strings.Builder
	for line := range strings.Lines(config) {
		if !strings.HasSuffix(line, other) {
			all.WriteString(strings.Replace(line, mark, "\n", 1))
		}
	}
	return all.String()
}

// number returns the first thing in a text that looks like a version.
func number(text string) string {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '/' || r == '\n' }) {
		if word = strings.TrimPrefix(word, "v"); word != "" && word[0] >= '0' && word[0] <= '9' && strings.Contains(word, ".") {
			return word
		}
	}
	return ""
}
