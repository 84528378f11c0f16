#!/usr/bin/env bash
# Installs the servers of the corpus of e2e/explain and runs the corpus: a line for each sample and the totals. It is not part of CI,
# and setup installs none of it: the modules of Node are locked in npm-shrinkwrap.json, and the Go servers are a module outside go.work.
source "$(dirname "$0")/lib.sh"

servers=e2e/explain/servers
if [ ! "$servers/node_modules/.package-lock.json" -nt "$servers/npm-shrinkwrap.json" ]; then
	say "npm ci in $servers"
	(cd "$servers" && npm ci --no-audit --no-fund --loglevel=error </dev/null)
fi
say "building the servers in Go"
(cd "$servers/go" && GOWORK=off GOFLAGS='' go build -trimpath -o "$OLDPWD/bin/corpus-servers" .)
say "running the corpus"
go test -tags=e2e,servers -count=1 -timeout=60m -v -run='^TestCorpus$' ./e2e/explain | grep -E '^(right|partly|wrong|corpus|FAIL|ok) |SKIP'
