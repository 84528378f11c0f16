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

# check builds and vets the library for a system. The binary is built for one that is not Unix; building it for all systems would take
# minutes. For the others, two of which have 32 bits, the binary and all its imports are type-checked.
check() {
	set -euo pipefail
	export GOOS=${1%/*} GOARCH=${1#*/}
	go build ./websocket/...
	if [ "$GOOS" = plan9 ]; then
		# Its package syscall lacks what the tests compare with: go vet gets the other files alone. The binary does not run there.
		go list -f '{{.Dir}}{{range .GoFiles}} {{.}}{{end}}' ./websocket/... | while read -r dir files; do
			# shellcheck disable=SC2086
			[ -z "$files" ] || (cd "$dir" && go vet $files)
		done
		return
	fi
	go vet ./websocket/...
	case $GOOS in
	windows) go build -o "$checker/handfast" ./cmd/handfast ;;
	*) "$checker/crosscheck" ./cmd/handfast ;;
	esac
}
export -f check

# Type-checking uses one processor, so two systems are checked concurrently.
printf '%s\n' windows/amd64 linux/386 linux/arm linux/arm64 darwin/arm64 freebsd/amd64 plan9/amd64 |
	xargs -P 2 -I '{}' bash -c 'check "$1" && echo "ok    $1"' check '{}'

# The other systems of a release differ from these in the processor only: the binary and the library are type-checked.
for target in windows/arm64 darwin/amd64 freebsd/arm64; do
	GOOS=${target%/*} GOARCH=${target#*/} "$checker/crosscheck" ./cmd/handfast ./websocket/...
done
