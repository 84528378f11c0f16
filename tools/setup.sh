#!/usr/bin/env bash
# Installs what the tests need and is missing: Debian packages, Node modules, the linter. A second run does nothing.
source "$(dirname "$0")/lib.sh"

# The race detector needs a C compiler; e2e needs a browser and the WebSocket clients of Node and Python; auth needs a Redis,
# and htpasswd.
packages=(git gcc libc6-dev chromium python3 python3-websockets redis-server apache2-utils
	nginx-light haproxy caddy openssl curl ca-certificates libnss3-tools
	mono-mcs mono-runtime ca-certificates-mono) # a stand-in for .NET
command -v node >/dev/null || packages+=(nodejs npm)

missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done

install_packages() {
	local sudo=()
	if ! command -v apt-get >/dev/null; then
		echo "setup: this system has no apt-get; install the likes of: ${missing[*]}" >&2
		exit 1
	fi
	[ "$(id -u)" = 0 ] || sudo=(sudo)
	export DEBIAN_FRONTEND=noninteractive
	"${sudo[@]}" apt-get update -qq
	"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_node_modules() {
	local lock dir
	while read -r lock; do
		dir=$(dirname "$lock")
		# npm writes its own record of what is installed: when that is newer than the lock, all is in place.
		if [ "$dir/node_modules/.package-lock.json" -nt "$lock" ]; then continue; fi
		say "npm ci in $dir"
		(cd "$dir" && npm ci --no-audit --no-fund --loglevel=error </dev/null)
	done < <(git ls-files -co --exclude-standard 'e2e/**/package-lock.json')
}

install_linter() {
	local to=".tools/golangci-lint-$GOLANGCI_LINT_VERSION"
	[ -x "$to" ] && return
	say "building golangci-lint $GOLANGCI_LINT_VERSION; the first time takes some minutes"
	mkdir -p .tools
	GOBIN="$PWD/.tools" GOWORK=off go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$GOLANGCI_LINT_VERSION"
	mv .tools/golangci-lint "$to"
}

if [ ${#missing[@]} -gt 0 ]; then
	say "apt-get install ${missing[*]}"
	install_packages
fi
install_node_modules
go mod download
install_linter
