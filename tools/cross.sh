#!/usr/bin/env bash
# Builds and vets what users run elsewhere: the library and the binary for other systems, the library for Plan 9.
# CI has one machine only, so the tests themselves do not run there.
source "$(dirname "$0")/lib.sh"
export CGO_ENABLED=0 GOFLAGS=

# The packages of the binary; what only tests and measurements need is for Linux.
mapfile -t binary < <(go list -deps ./cmd/handfast | grep "^$(go list -m | head -n 1)/" | grep -v '/websocket\(/\|$\)')

# go vet looks at everything that is imported, too, which takes minutes for the binary: it does that once for 32 bits, once for Windows
# and once for a BSD. The others have the same files of ours.
vetted=" linux/386 windows/amd64 darwin/arm64 "

for target in linux/386 linux/arm linux/arm64 windows/amd64 darwin/arm64 freebsd/amd64; do
	say "cross: $target"
	export GOOS=${target%/*} GOARCH=${target#*/}
	go build -o /dev/null ./cmd/handfast
	go vet ./websocket/...
	[[ $vetted != *" $target "* ]] || go vet "${binary[@]}"
done

say "cross: plan9/amd64"
export GOOS=plan9 GOARCH=amd64
go build ./websocket/...
# Its package syscall lacks what the tests compare with: go vet gets the other files alone.
go list -f '{{.Dir}}{{range .GoFiles}} {{.}}{{end}}' ./websocket/... | while read -r dir files; do
	# shellcheck disable=SC2086
	[ -z "$files" ] || (cd "$dir" && go vet $files)
done
