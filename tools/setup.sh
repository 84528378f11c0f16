#!/usr/bin/env bash
# Installs what the tests need and is missing: Debian packages, Node modules, the linter. A second run does nothing.
source "$(dirname "$0")/lib.sh"

# The race detector needs a C compiler; e2e needs browsers, the WebSocket clients of Node and Python, and the proxies; auth
# needs a Redis, and htpasswd.
packages=(git gcc libc6-dev chromium firefox-esr python3 python3-websockets python3-aiohttp python3-django python3-fastapi
	python3-hypercorn python3-socketio python3-tornado python3-uvicorn redis-server apache2-utils
	nginx-light haproxy caddy openssl curl ca-certificates libnss3-tools groff-base systemd zsh fish
	mono-mcs mono-runtime ca-certificates-mono) # a stand-in for .NET
command -v node >/dev/null || packages+=(nodejs npm)

missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done

# Debian starts the services of what it installs, and enables them. The tests start their own, so that those whom nobody
# asked for neither run now nor after the next boot; what was there before stays as it was.
services=(nginx haproxy caddy redis-server)
policy=/usr/sbin/policy-rc.d
sudo=()

forbid_services() {
	local s
	unwanted=()
	for s in "${services[@]}"; do
		systemctl is-enabled --quiet "$s" 2>/dev/null || unwanted+=("$s")
	done
	[ ! -e "$policy" ] || return 0
	trap '"${sudo[@]}" rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
	"${sudo[@]}" chmod 755 "$policy"
}

allow_services() {
	local s
	if [ -n "$(trap -p EXIT)" ]; then
		"${sudo[@]}" rm -f "$policy"
		trap - EXIT
	fi
	command -v systemctl >/dev/null || return 0
	for s in "${unwanted[@]}"; do
		"${sudo[@]}" systemctl disable --quiet "$s" 2>/dev/null || true # not every one was installed
	done
}

install_packages() {
	if ! command -v apt-get >/dev/null; then
		echo "setup: this system has no apt-get; install the likes of: ${missing[*]}" >&2
		exit 1
	fi
	[ "$(id -u)" = 0 ] || sudo=(sudo)
	forbid_services
	"${sudo[@]}" apt-get update -qq
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	allow_services
}

# Node has a WebSocket since 20.10, behind a flag, and Debian 12 has Node 18.
install_node() {
	if node --experimental-websocket --eval 0 2>/dev/null; then return; fi
	say "npm install node@$NODE_VERSION"
	npm install --prefix .tools --no-save --no-audit --no-fund --loglevel=error "node@$NODE_VERSION" </dev/null
	hash -r
}

install_node_modules() {
	local lock dir
	while read -r lock; do
		dir=$(dirname "$lock")
		# npm writes its own record of what is installed: when that is newer than the lock, all is in place.
		if [ "$dir/node_modules/.package-lock.json" -nt "$lock" ]; then continue; fi
		say "npm ci in $dir"
		(cd "$dir" && npm ci --no-audit --no-fund --loglevel=error </dev/null)
	done < <(git ls-files -co --exclude-standard 'e2e/**/package-lock.json' 'examples/**/package-lock.json')
}

# linters prints the linters that .golangci.yml enables: the standard ones, and the list.
linters() {
	echo errcheck govet ineffassign staticcheck unused
	sed -n '/^  enable:/,/^  settings:/s/^    - \([a-z]*\).*/\1/p' .golangci.yml
}

# install_linter builds the linter without the linters that .golangci.yml does not enable: all of them, over a hundred, take twice as
# long to compile. What remains is as it was published: the file that lists the linters loses lines.
install_linter() {
	local to="$PWD/.tools/golangci-lint-$GOLANGCI_LINT_VERSION" module=github.com/golangci/golangci-lint/v2 from source list
	[ -x "$to" ] && [ "$to" -nt .golangci.yml ] && return
	say "building golangci-lint $GOLANGCI_LINT_VERSION; the first time takes some minutes"
	mkdir -p .tools
	from=$(GOFLAGS='' go mod download -json "$module@$GOLANGCI_LINT_VERSION" | sed -n 's/.*"Dir": "\(.*\)",*/\1/p')
	source=$(mktemp -d -p .tools)
	cp -r "$from/." "$source"
	chmod -R u+w "$source"
	list=$source/pkg/lint/lintersdb/builder_linter.go
	awk -v enabled="$(linters | tr '\n' ' ')" '
		BEGIN { n = split(enabled " golinters", names); for (i in names) keep[names[i]] = 1 }
		/^\t".*\/pkg\/golinters\// { name = $0; gsub(/.*\/|"/, "", name); if (!(name in keep)) next }
		/^\t\tlinter\.New/ { name = $0; sub(/^[^(]*\(/, "", name); sub(/\..*/, "", name); drop = !(name in keep) }
		/^\t\t\/\/|^\t}/ { drop = 0 }
		/^\tplaceholderReplacer :=/ { next } # for linters that are gone
		!drop' "$from/pkg/lint/lintersdb/builder_linter.go" >"$list"
	(cd "$source" && GOWORK=off GOFLAGS='' go build -gcflags="all=$NODEBUG" -ldflags='-s -w' -o "$to" ./cmd/golangci-lint)
	rm -rf "$source"
}

install_linter & # meanwhile the rest is downloaded
linter=$!
if [ ${#missing[@]} -gt 0 ]; then
	say "apt-get install ${missing[*]}"
	install_packages
fi
install_node
install_node_modules
go mod download
wait "$linter" || install_linter # its own download may have needed one of the packages
