#!/usr/bin/env bash
# Counts phrases that are not plain English, in Go files and documents: CONTRIBUTING.md lists what to write instead. There are
# more of them than one change can replace, so the count may only fall. tools/words.sh list prints where they are.
source "$(dirname "$0")/lib.sh"

# The number of phrases that are left. Lower it when there are fewer.
ALLOWED=21

# Each line is a Perl expression, matched without case as whole words.
phrases=$(paste -sd'|' <<'END'
whoever|(?<!http\.)nobody|somebody|for ever|mends?|mended|besides|dear|dearly
(is|are|was|were) told|(has|have) to be given|nothing is behind (it|them)
(lets?|letting) in|(is|are|was|were) (let in|kept out)|(keeps?|keeping) (it|them|clients|everybody|others) out
but for (the|a|an|one|its|their|those|these|what|that|this)
what came|who came|who is (let in|admitted)
(called|used|run|sent|started|open|made|checked|asked) at once (by|from)|(goroutines|connections|handshakes|calls|requests|clients|messages) at once
(?<!there )(is|are|was|were) none(?! of)|(is|are) none of
(?<!there )(is|are|was|were) no (?!longer|more|less|way|later|earlier|larger|other|one)[a-z]+
(it|they|that|what|which|file|list|key|name|value|text|number) (stands?|lies?) (in|at|on|behind|below|above)
nil: (the|a|an|no|none|not|there|it|they|nothing|what|all)
slash at the end|came by way of|chance in it|not to be had|no way leads|passe?s? upgrades on|hang(s|ing)? up on|nothing ended it|browsers send by themselves|limits? of time|letters for URLs
END
)
find_them() { git grep "$@" -iP "\b($phrases)\b" -- '*.go' '*.md' ':!docs/rfc.md' ':!CONTRIBUTING.md' ':!CHANGELOG.md'; }

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
