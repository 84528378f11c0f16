#!/usr/bin/env bash
# Checks what users run elsewhere: the library and the binary for other systems, the library for Plan 9.
# CI has one machine only, so the tests themselves do not run there.
source "$(dirname "$0")/lib.sh"
# Nothing that is built here runs: without optimizations and debug information it takes less time. Before anything is built for a
# system, the standard library is.
export CGO_ENABLED=0 GOFLAGS="'-gcflags=all=-N -l $NODEBUG' '-ldflags=-s -w'"

checker=$(mktemp -d)
trap 'rm -rf "$checker"' EXIT
GOFLAGS=-gcflags=all=$NODEBUG go build -o "$checker/crosscheck" ./internal/crosscheck

export checker

# check builds and vets the library for a system, and type-checks the binary with all its imports, because building it for every system
# takes minutes. For Windows, which is not Unix, the binary is built. The last three systems of a release differ from the others in the
# processor only: there the library and its tests are type-checked, too.
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
	windows/arm64 | darwin/amd64 | freebsd/arm64) "$checker/crosscheck" -test ./cmd/handfast ./websocket/... ;;
	*)
		go build ./websocket/...
		go vet ./websocket/...
		if [ "$GOOS" = windows ]; then go build -o "$checker/handfast" ./cmd/handfast; else "$checker/crosscheck" ./cmd/handfast; fi
		;;
	esac
}
export -f check

# Type-checking uses one processor, so two systems are checked concurrently.
printf '%s\n' windows/amd64 darwin/arm64 plan9/amd64 linux/386 linux/arm linux/arm64 freebsd/amd64 windows/arm64 darwin/amd64 freebsd/arm64 |
	xargs -P 2 -I '{}' bash -c 'check "$1" && echo "ok    $1"' check '{}'
