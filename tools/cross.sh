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

# The library is built and vetted, and the binary built for a system of 32 bits and for one that is no Unix. To compile the servers and
# clients that are in the binary for all systems would take minutes: for the others it is type-checked with all that it
# imports.
for target in linux/386 linux/arm linux/arm64 windows/amd64 darwin/arm64 freebsd/amd64; do
	say "cross: $target"
	export GOOS=${target%/*} GOARCH=${target#*/}
	go build ./websocket/...
	go vet ./websocket/...
	case $target in
	linux/386 | windows/amd64) go build -o "$checker/handfast" ./cmd/handfast ;;
	*) "$checker/crosscheck" ./cmd/handfast ;;
	esac
done

say "cross: plan9/amd64"
export GOOS=plan9 GOARCH=amd64
go build ./websocket/...
# Its package syscall lacks what the tests compare with: go vet gets the other files alone.
go list -f '{{.Dir}}{{range .GoFiles}} {{.}}{{end}}' ./websocket/... | while read -r dir files; do
	# shellcheck disable=SC2086
	[ -z "$files" ] || (cd "$dir" && go vet $files)
done
