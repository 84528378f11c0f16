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

// kind is a load balancer to compare. Each balancer runs as a single process on one processor.
type kind struct {
	name    string
	program string   // "" means handfast itself
	version []string // arguments to print its version
	config  string   // a template with the placeholders LISTEN, TO, DIR, HTTP and WS, and marks for lines; "" means no file
	args    []string // arguments with the placeholders of config, and CONFIG for its path
	clients []string // additional arguments with -tls
	server  []string // additional arguments with -server-tls
}

var kinds = []kind{
	{name: "handfast", version: []string{"version"},
		args:    []string{"balance", "--listen", "LISTEN", "--to", "WS://TO", "--admin", "off", "--check", "off"},
		server:  []string{"--cacert", "DIR/cert.pem"},
		clients: []string{"--tls", "files", "--cert", "DIR/cert.pem", "--key", "DIR/key.pem"}},
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
  bind LISTEN CLIENTS-PLAIN
  bind LISTEN ssl crt DIR/both.pem alpn http/1.1 CLIENTS-TLS
  default_backend servers
backend servers
  option http-server-close
  server one TO SERVER-PLAIN
  server one TO ssl verify required ca-file DIR/cert.pem verifyhost localhost SERVER-TLS
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
    listen LISTEN; CLIENTS-PLAIN
    listen LISTEN ssl; CLIENTS-TLS
    ssl_certificate DIR/cert.pem; CLIENTS-TLS
    ssl_certificate_key DIR/key.pem; CLIENTS-TLS
    ssl_protocols TLSv1.2 TLSv1.3; CLIENTS-TLS
    location / {
      proxy_pass http://servers; SERVER-PLAIN
      proxy_pass https://servers; SERVER-TLS
      proxy_ssl_verify on; SERVER-TLS
      proxy_ssl_trusted_certificate DIR/cert.pem; SERVER-TLS
      proxy_ssl_name localhost; SERVER-TLS
      proxy_ssl_protocols TLSv1.2 TLSv1.3; SERVER-TLS
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
http://LISTEN { CLIENTS-PLAIN
https://LISTEN { CLIENTS-TLS
  tls DIR/cert.pem DIR/key.pem CLIENTS-TLS
  reverse_proxy HTTP://TO {
    transport http { SERVER-TLS
      versions 1.1 SERVER-TLS
      tls_trusted_ca_certs DIR/cert.pem SERVER-TLS
    } SERVER-TLS
  }
}
`},
}

// balancer is a running balancer.
type balancer struct {
	*process
	name    string
	version string // the name of the program and its version number
	addr    string
}

// balancer starts a balancer in front of the server.
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
	tls := ""
	if b.serverTLS {
		tls = "s"
	}
	fill := strings.NewReplacer("LISTEN", x.addr, "HTTP", "http"+tls, "WS", "ws"+tls, "TO", b.to, "DIR", b.dir, "CONFIG", file)
	if err := os.WriteFile(file, []byte(fill.Replace(b.lines(k.config))), 0o600); err != nil {
		return nil, err
	}
	var args []string
	if b.tls {
		k.args = slices.Concat(k.args, k.clients)
	}
	if b.serverTLS {
		k.args = slices.Concat(k.args, k.server)
	}
	for _, a := range k.args {
		args = append(args, fill.Replace(a))
	}
	told, _ := exec.CommandContext(ctx, program, k.version...).CombinedOutput() // some programs print their version and fail
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

// lines returns the lines of a configuration that apply to the run: a mark at the end of a line restricts it to runs with or
// without TLS for clients, or for the server.
func (b *bench) lines(config string) string {
	marks := map[string]bool{
		" CLIENTS-TLS\n": b.tls, " CLIENTS-PLAIN\n": !b.tls, " SERVER-TLS\n": b.serverTLS, " SERVER-PLAIN\n": !b.serverTLS,
	}
	var all strings.Builder
	for line := range strings.Lines(config) {
		wanted := true
		for mark, is := range marks {
			if text, has := strings.CutSuffix(line, mark); has {
				line, wanted = text+"\n", is
			}
		}
		if wanted {
			all.WriteString(line)
		}
	}
	return all.String()
}

// number returns the first part of a text that looks like a version number.
func number(text string) string {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '/' || r == '\n' }) {
		if word = strings.TrimPrefix(word, "v"); word != "" && word[0] >= '0' && word[0] <= '9' && strings.Contains(word, ".") {
			return word
		}
	}
	return ""
}
