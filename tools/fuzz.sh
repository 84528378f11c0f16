#!/usr/bin/env bash
# Runs every fuzz target for a while: tools/fuzz.sh [TIME [TIME OF PARSERS]]. Two targets at a time, one worker each.
source "$(dirname "$0")/lib.sh"
TIME=${1:-10s}
PARSERS=${2:-$TIME}

# Packages whose targets are functions of a few bytes, without state, that have not changed for long: they soon reach all there is.
parsers='^\./(auth|certs|config|explain|channels/wire|gateway/internal/(clientaddr|proxyproto)|hub/internal/record|hub/redisengine'
parsers+='|websocket/(frame|handshake|internal/(header|opening|utf8x)))$'

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
corpora=$(go env GOCACHE)/fuzz/$(GOWORK=off go list -m) # where go test -fuzz keeps what it finds
export logs corpora

# list prints "package target time" for every fuzz target of all modules. It reads the files: go test -list would link, and begin
# to run, every test there is.
list() {
	git ls-files -co --exclude-standard '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]*' |
		sed -E 's|^(.*)/[^/]*:func (.*)|./\1 \2|' | while read -r pkg target; do
		if [[ $pkg =~ $parsers ]]; then echo "$pkg $target $PARSERS"; else echo "$pkg $target $TIME"; fi
	done
}

# build compiles the tests of packages for the fuzzer, all together; go test -fuzz accepts only one package, and links it again for each
# of its targets. -d=libfuzzer counts which branches an input takes: here those of our packages, and of the parsers of configuration files
# and rules. Other packages are compiled as for the other tests.
build() {
	local flags=("-gcflags=all=$NODEBUG") p
	for p in "$PRODUCT" github.com/goccy/go-yaml github.com/expr-lang/expr; do
		flags+=("-gcflags=$p/...=$NODEBUG -d=libfuzzer")
	done
	go test -c -vet=off -ldflags='-s -w' "${flags[@]}" -o "$logs/" "$@"
}

# An input that is new is made smaller for a minute unless -fuzzminimizetime says otherwise, which is all the time there is for a target
# with state: nothing else runs meanwhile.

# fails says that a log is that of a target which has failed. The fuzzer of Go 1.26 sometimes takes the end of its own time for a
# failure: then there is no input that fails, and nothing that a test says.
fails() { ! grep -q '^ *context deadline exceeded$' "$1" || grep -qE 'Failing input|panic|_test\.go:|hung or terminated' "$1"; }

# one runs a target and prints a line about it; on failure it prints all that was said and where the input is kept.
one() {
	local pkg=$1 target=$2 log why=
	log="$logs/${pkg//\//_}.$target"
	(cd "$pkg" && exec "$logs/${pkg##*/}.test" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$3" -test.fuzzminimizetime=1s \
		-test.parallel=1 -test.paniconexit0 -test.fuzzcachedir="$corpora/${pkg#./}") >"$log" 2>&1 || ! fails "$log" || why="it fails"
	if [ -z "$why" ] && grep -qE 'no fuzz tests to fuzz|without coverage guidance' "$log"; then
		why="it did not run, or was not compiled for the fuzzer"
	fi
	if [ -n "$why" ]; then
		echo "FAIL  $target  $pkg: $why"
		cat "$log"
		return 1
	fi
	echo "ok    $target  ${pkg#./}  $(grep -oE 'execs: [0-9]+' "$log" | tail -n 1)"
}
export -f one fails

list >"$logs/list"
if [ ! -s "$logs/list" ]; then
	echo "fuzz: no targets" >&2
	exit 1
fi
mapfile -t packages < <(cut -d' ' -f1 "$logs/list" | sort -u)
build "${packages[@]}"
xargs -P 2 -L 1 bash -c 'one "$0" "$1" "$2"' <"$logs/list"
