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

# files prints the Go files of the library, tests included, for the system of GOOS and GOARCH.
files() { go list -f '{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .TestGoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}' ./websocket/... | sort -u; }

files >"$checker/vetted" # by the linter's stage

# Types are checked for every system: the library with its tests, and the binary, with all that they import. go vet and the compiler
# get the library where files or the size of an int differ from those of this machine, and the binary on the system that differs most.
for target in linux/386 linux/arm linux/arm64 windows/amd64 darwin/arm64 freebsd/amd64; do
	say "cross: $target"
	export GOOS=${target%/*} GOARCH=${target#*/}
	"$checker/crosscheck" -test ./websocket/... ./cmd/handfast
	files >"$checker/files"
	case $target in
	linux/386 | windows/amd64)
		go build ./websocket/...
		go vet ./websocket/...
		sort -u -o "$checker/vetted" "$checker/vetted" "$checker/files"
		;;
	esac
	[ $target != windows/amd64 ] || go build -o "$checker/handfast" ./cmd/handfast
	cat "$checker/files" >>"$checker/all"
done

say "cross: plan9/amd64"
export GOOS=plan9 GOARCH=amd64
go build ./websocket/...
# Its package syscall lacks what the tests compare with: go vet gets the other files alone.
go list -f '{{.Dir}}{{range .GoFiles}} {{.}}{{end}}' ./websocket/... | while read -r dir files; do
	# shellcheck disable=SC2086
	[ -z "$files" ] || (cd "$dir" && go vet $files)
done

# No file may be one that go vet gets on none of these systems.
if sort -u "$checker/all" | comm -13 "$checker/vetted" - | grep .; then
	echo "cross: go vet sees these files on no system" >&2
	exit 1
fi
