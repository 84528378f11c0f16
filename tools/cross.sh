#!/usr/bin/env bash
# Checks what users run elsewhere: the library and the binary for other systems, the library for Plan 9.
# CI has one machine only: of the tests, only those of packages that open no connection run, as a 32-bit program.
#
# With CROSS=all, the binary is built for every system. That takes up to a minute for each, because the standard library and all
# dependencies are compiled for it, so without CROSS=all it is built for Windows and for one other system, which changes with every
# commit; for the other systems it is type-checked.
source "$(dirname "$0")/lib.sh"
# Nothing that is built here runs: without optimizations and debug information it takes less time. Before anything is built for a
# system, the standard library is.
export CGO_ENABLED=0 GOFLAGS="'-gcflags=all=-N -l $NODEBUG' '-ldflags=-s -w'"

checker=$(mktemp -d)
trap 'rm -rf "$checker"' EXIT
GOFLAGS=-gcflags=all=$NODEBUG go build -o "$checker/crosscheck" ./internal/crosscheck

export checker

# The system whose turn it is. Without the history of a clone, it is the first.
rotating=(linux/386 linux/arm linux/arm64 darwin/arm64 freebsd/amd64)
commits=$(git rev-list --count HEAD 2>/dev/null || echo 0)
export turn=${rotating[commits % ${#rotating[@]}]} CROSS=${CROSS:-}

# check builds and vets the library for a system, and builds or type-checks the binary with all its imports. Windows, which is not Unix, is
# always built. The last three systems of a release differ from the others in the processor only: there the library and its tests are
# type-checked.
check() {
	set -euo pipefail
	export GOOS=${1%/*} GOARCH=${1#*/}
	case $GOOS/$GOARCH in
	plan9/*)
		# Its package syscall lacks what the tests compare with: go vet gets the other files alone. The binary does not run there.
		go build ./websocket/...
		go list -f '{{.Dir}}{{range .GoFiles}} {{.}}{{end}}' ./websocket/... | while read -r dir files; do
			# shellcheck disable=SC2086
			[ -z "$files" ] || (cd "$dir" && go vet $files)
		done
		;;
	windows/arm64 | darwin/amd64 | freebsd/arm64)
		"$checker/crosscheck" -test ./cmd/handfast ./websocket/...
		[ "$CROSS" != all ] || build
		;;
	*)
		go build ./websocket/...
		go vet ./websocket/...
		if [ "$CROSS" = all ] || [ "$1" = windows/amd64 ] || [ "$1" = "$turn" ]; then build; else "$checker/crosscheck" ./cmd/handfast; fi
		;;
	esac
}

# build builds the binary for the system of check.
build() {
	local began=$SECONDS
	go build -o "$checker/handfast-$GOOS-$GOARCH" ./cmd/handfast
	echo "built the binary for $GOOS/$GOARCH in $((SECONDS - began)) s"
}
export -f check build

# Type-checking uses one processor, so two systems are checked concurrently.
printf '%s\n' windows/amd64 darwin/arm64 plan9/amd64 linux/386 linux/arm linux/arm64 freebsd/amd64 windows/arm64 darwin/amd64 freebsd/arm64 |
	xargs -P 2 -I '{}' bash -c 'check "$1" && echo "ok    $1"' check '{}'

# An int of 32 bits is too small for some lengths that a peer may send. The tests of the packages that parse them need no system but this
# one, if it runs such programs.
export GOOS=linux GOARCH=386
go test -c -o "$checker/frame.test" ./websocket/frame
if "$checker/frame.test" -test.list='^$' >/dev/null 2>&1; then
	go test -skip=Alloc ./websocket/frame ./websocket/handshake ./websocket/protocol ./websocket/internal/... # unoptimized code allocates more
else
	echo "this machine runs no programs for linux/386: their tests are left out"
fi
