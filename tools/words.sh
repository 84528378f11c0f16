#!/usr/bin/env bash
# Counts phrases that are not plain English, in Go files and documents: CONTRIBUTING.md says what to write instead. There are
# more of them than one change can replace, so the count may only fall. tools/words.sh list prints where they are.
source "$(dirname "$0")/lib.sh"

# How many there may be. Lower it when there are fewer.
ALLOWED=221

phrases='whoever|nobody|somebody|for ever|mends?|mended|(is|are) told|has to be given|(lets?|letting) in|besides'
find_them() { git grep "$@" -iwE "$phrases" -- '*.go' '*.md' ':!docs/rfc.md' ':!CONTRIBUTING.md'; }

if [ "${1:-}" = list ]; then
	find_them -n
	exit
fi
count=$(find_them -oh | wc -l)
if [ "$count" -gt "$ALLOWED" ]; then
	echo "lint: $count phrases that are not plain English, $ALLOWED are allowed: see tools/words.sh list, and Plain English in CONTRIBUTING.md" >&2
	exit 1
fi
[ "$count" -eq "$ALLOWED" ] || echo "lint: $count phrases that are not plain English; lower ALLOWED in tools/words.sh from $ALLOWED"
