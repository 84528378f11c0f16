package behave

import (
	"context"
	"syscall"
)

// tool is a balancer to observe, with the settings that its documentation recommends for WebSockets.
type tool struct {
	name    string
	program string   // "" means handfast itself
	version []string // arguments to print its version
	config  string   // a template for a situation

	start   func(ctx context.Context, b *balancer) error // starts the program with the configuration
	reload  func(ctx context.Context, b *balancer) error // reloads the configuration
	replace func(ctx context.Context, b *balancer) error // replaces the program
	add     func(ctx context.Context, b *balancer) error // adds all servers of the situation, without a reload; nil if impossible
	drains  []step                                       // the ways to take a server out of service, one after another
	level   []step                                       // the ways to rebalance connections, one after another
}

// step is an action of an operator.
type step struct {
	what string // a short description
	do   func(ctx context.Context, b *balancer) error
}

// situation contains the values for a configuration template.
type situation struct {
	Listen     string
	Admin      string // the address for an admin listener
	Dir        string
	Servers    []member
	Generation int  // the value of GenerationField
	Bound      int  // how long old connections may stay, in seconds; 0 means no setting
	Rebalance  bool // enables rebalancing, if supported
	Hold       bool // enables the hold mode, if supported; then responses do not contain GenerationField
	Pings      bool // enables a ping each second, or TCP keep-alive probes if pings are not supported
	Packaged   bool // uses the timeouts of the distribution packages instead of those for WebSockets
	Delay      bool // whether Caddy supports stream_close_delay
}

// member is a server in a configuration.
type member struct {
	Addr   string
	Weight int
	Down   bool
}

var tools = []tool{
	{
		name: "handfast", version: []string{"version"}, start: startHandfast,
		reload: func(_ context.Context, b *balancer) error { return b.signal(syscall.SIGHUP) }, replace: replaceHandfast,
		add:    addHandfast,
		drains: []step{{"`handfast balance drain`", drainHandfast}},
		config: `
listen: [{address: "{{.Listen}}", tls: off}]
admin: {address: "{{.Admin}}"}
drain: {delay: {{if .Bound}}{{.Bound}}s{{else}}24h{{end}}}
endpoints:
  - name: balance
    path: /
    auth: [anonymous]
    target:
      balance:
        to: [{{range $i, $s := .Servers}}{{if $i}}, {{end}}{url: "{{$s.Addr}}", weight: {{$s.Weight}}}{{end}}]
        request: {header: {X-Generation: "{{.Generation}}"}}
        rebalance: {enabled: {{.Rebalance}}}
        hold: {{if .Hold}}resume{{else}}off{{end}}
{{if not .Packaged}}        health: {check: http, every: 2s}
{{end}}{{if .Pings}}        timeouts: {ping: 1s}{{end}}
`,
	},
	{
		name: "HAProxy", program: "haproxy", version: []string{"-v"}, start: startHAProxy,
		reload:  func(_ context.Context, b *balancer) error { return b.signal(syscall.SIGUSR2) },
		replace: func(_ context.Context, b *balancer) error { return b.signal(syscall.SIGUSR2) }, // the master process re-executes the program
		add:     addHAProxy,
		drains: []step{
			{"`set server … state drain`", runtime("set server servers/s0 state drain")},
			{"`shutdown sessions server`", runtime("shutdown sessions server servers/s0")},
		},
		level: []step{{"`shutdown sessions server` for one", runtime("shutdown sessions server servers/s0")}},
		config: `
global
  maxconn 9000
  stats socket {{.Dir}}/haproxy.sock mode 600 level admin
{{if .Bound}}  hard-stop-after {{.Bound}}s{{end}}
defaults
  mode http
{{if .Packaged}}
  timeout connect 5000
  timeout client 50000
  timeout server 50000
{{else}}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  retries 3
  option redispatch
{{if .Pings}}  option clitcpka
  clitcpka-idle 1s
  clitcpka-intvl 1s{{end}}
  retry-on conn-failure empty-response 502 503 504
{{end}}
frontend in
  bind {{.Listen}}
  default_backend servers
backend servers
  balance leastconn
  option httpchk GET /
  http-request set-header X-Generation {{.Generation}}
{{range $i, $s := .Servers}}  server s{{$i}} {{$s.Addr}} weight {{$s.Weight}} check
{{end}}`,
	},
	{
		name: "nginx", program: "nginx", version: []string{"-v"}, start: startNginx,
		reload: func(_ context.Context, b *balancer) error { return b.signal(syscall.SIGHUP) }, replace: replaceNginx,
		drains: []step{{"`down` and a reload", func(ctx context.Context, b *balancer) error {
			b.now.Servers[0].Down = true
			return b.change(ctx)
		}}},
		config: `
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/nginx.log;
worker_processes 1;
worker_rlimit_nofile 20000;
{{if .Bound}}worker_shutdown_timeout {{.Bound}}s;{{end}}
events { worker_connections 16000; }
http {
  access_log off;
  client_body_temp_path {{.Dir}}/body; proxy_temp_path {{.Dir}}/proxy; fastcgi_temp_path {{.Dir}}/fastcgi;
  uwsgi_temp_path {{.Dir}}/uwsgi; scgi_temp_path {{.Dir}}/scgi;
  upstream servers {
    least_conn;
{{range .Servers}}    server {{.Addr}} weight={{.Weight}}{{if .Down}} down{{end}};
{{end}}  }
  map $http_upgrade $connection_upgrade { default upgrade; "" close; }
  server {
    listen {{.Listen}}{{if .Pings}} so_keepalive=1s:1s:3{{end}};
    location / {
      proxy_pass http://servers;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Host $http_host;
      proxy_set_header X-Generation {{.Generation}};
{{if .Hold}}      add_header X-Generation {{.Generation}} always;{{end}}
{{if not .Packaged}}
      proxy_next_upstream error timeout http_502 http_503 http_504;
      proxy_read_timeout 1h;
      proxy_send_timeout 1h;
{{end}}
    }
  }
}
`,
	},
	{
		name: "Caddy", program: "caddy", version: []string{"version"}, start: startCaddy, reload: reloadCaddy, replace: replaceCaddy,
		drains: []step{{"taken out by `POST /load`", func(ctx context.Context, b *balancer) error {
			b.now.Servers = b.now.Servers[1:]
			return b.change(ctx)
		}}},
		config: `
{
  admin {{.Admin}}
  auto_https off
{{if .Pings}}  servers {
    keepalive_interval 1s
  }{{end}}
  log {
    level ERROR
  }
}
http://{{.Listen}} {
{{if .Hold}}  header X-Generation {{.Generation}}{{end}}
  reverse_proxy{{range .Servers}} {{.Addr}}{{end}} {
    header_up X-Generation {{.Generation}}
{{if not .Packaged}}
    lb_policy least_conn
    lb_try_duration 5s
    fail_duration 10s
    unhealthy_status 502 503 504
    health_uri /
    health_interval 2s
{{end}}
{{if and .Delay (not .Packaged)}}    stream_close_delay {{if .Bound}}{{.Bound}}s{{else}}24h{{end}}{{end}}
  }
}
`,
	},
}
