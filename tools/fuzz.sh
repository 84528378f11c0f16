#!/usr/bin/env bash
# Runs every fuzz target for a while: tools/fuzz.sh [TIME]. Two targets at a time, one worker each.
source "$(dirname "$0")/lib.sh"
export FUZZTIME=${1:-10s}

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export logs

# list prints "package target" for every fuzz target of all modules. It reads the files: go test -list would link, and begin
# to run, every test there is.
list() {
	git ls-files -co --exclude-standard '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]*' |
		sed -E 's|^(.*)/[^/]*:func (.*)|./\1 \2|'
}

# report prints the line about a target that has found nothing.
report() {
	echo "ok    $2  ${1#./}  $(grep -oE 'execs: [0-9]+' "$3" | tail -n 1)"
}

# An input that is new is made smaller for a minute unless -fuzzminimizetime says otherwise, which is all the time there is for a target
# with state: nothing else runs meanwhile.

# one runs a target and prints a line about it; on failure it prints all that was said and where the input is kept.
one() {
	local pkg=$1 target=$2 log
	log="$logs/${pkg//\//_}.$target"
	if go test -run='^$' -fuzz="^$target\$" -fuzztime="$FUZZTIME" -fuzzminimizetime=1s -parallel=1 "$pkg" >"$log" 2>&1; then
		report "$pkg" "$target" "$log"
		return
	fi
	# The fuzzer of Go 1.26 sometimes takes the end of its own time for a failure of the target. Then there is no input
	# that fails, and nothing that a test says.
	if grep -q '^ *context deadline exceeded$' "$log" && ! grep -qE 'Failing input|panic|_test\.go:|hung or terminated' "$log"; then
		report "$pkg" "$target" "$log"
		return
	fi
	echo "FAIL  $target  $pkg"
	cat "$log"
	return 1
}
export -f one report

list >"$logs/list"
if [ ! -s "$logs/list" ]; then
	echo "fuzz: no targets" >&2
	exit 1
fi
xargs -P 2 -L 1 bash -c 'one "$0" "$1"' <"$logs/list"
