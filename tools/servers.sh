#!/usr/bin/env bash
# Installs the servers of the corpus of e2e/explain and runs the corpus: a line for each sample and the totals. It is not part of CI,
# and setup installs none of it: the modules of Node are locked in npm-shrinkwrap.json, and the Go servers are a module outside go.work.
source "$(dirname "$0")/lib.sh"

# Debian's servers and proxies. With --no-install-recommends, no more than what the corpus starts.
packages=(apache2 caddy civetweb cockpit-ws gir1.2-soup-3.0 gunicorn h2o haproxy hitch janus jetty9 jupyter-server
	libmojolicious-perl libwebsockets-test-server lighttpd mitmproxy mosquitto nghttp2-proxy nginx openjdk-17-jdk-headless pen php-cli prosody
	puma python3-aiohttp python3-autobahn python3-cherrypy3 python3-daphne python3-eventlet python3-flask-socketio python3-gevent-websocket python3-gi
	python3-hypercorn python3-pyqt5.qtwebsockets python3-socketio python3-starlette python3-tornado python3-trio-websocket python3-twisted python3-uvicorn
	python3-websockets python3-ws4py python3-wsproto rabbitmq-server ruby-actioncable ruby-em-websocket ruby-faye-websocket squid sslh stunnel4 thin
	tinyproxy tomcat10 tomcat10-examples trafficserver varnish websocketd websockify weechat-headless weechat-plugins)
missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
	say "apt-get install ${missing[*]}"
	# The services of these packages do not start, neither now nor after the next boot.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	! command -v systemctl >/dev/null || systemctl --quiet disable "${missing[@]}" 2>/dev/null || true # most have no service
fi

servers=e2e/explain/servers
if [ ! "$servers/node_modules/.package-lock.json" -nt "$servers/npm-shrinkwrap.json" ]; then
	say "npm ci in $servers"
	(cd "$servers" && npm ci --no-audit --no-fund --loglevel=error </dev/null)
fi
say "building the servers in Go"
(cd "$servers/go" && GOWORK=off GOFLAGS='' go build -trimpath -o "$OLDPWD/bin/corpus-servers" .)
say "running the corpus"
go test -tags=e2e,servers -count=1 -timeout=60m -v -run='^TestCorpus$' ./e2e/explain | grep -E '^(right|partly|wrong|corpus|FAIL|ok) |SKIP'
