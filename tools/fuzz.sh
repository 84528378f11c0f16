#!/usr/bin/env bash
# Runs every fuzz target for a while: tools/fuzz.sh [TIME]. Two targets at a time, one worker each.
source "$(dirname "$0")/lib.sh"
export FUZZTIME=${1:-10s}

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export logs

# list prints "package target" for every fuzz target of all modules.
list() {
	go test -list='^Fuzz' -json "${PKGS[@]}" |
		sed -nE 's/.*"Package":"([^"]+)","Output":"(Fuzz[A-Za-z0-9_]*)\\n".*/\1 \2/p'
}

# one runs a target and prints a line about it; on failure it prints all that was said and where the input is kept.
one() {
	local pkg=$1 target=$2 log
	log="$logs/${pkg//\//_}.$target"
	if go test -run='^$' -fuzz="^$target\$" -fuzztime="$FUZZTIME" -parallel=1 "$pkg" >"$log" 2>&1; then
		echo "ok    $target  ${pkg#github.com/handfast/handfast/}  $(grep -oE 'execs: [0-9]+' "$log" | tail -n 1)"
		return
	fi
	echo "FAIL  $target  $pkg"
	cat "$log"
	return 1
}
export -f one

list >"$logs/list"
if [ ! -s "$logs/list" ]; then
	echo "fuzz: no targets" >&2
	exit 1
fi
xargs -P 2 -L 1 bash -c 'one "$0" "$1"' <"$logs/list"
