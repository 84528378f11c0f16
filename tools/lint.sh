#!/usr/bin/env bash
# The checks that need no test to run: formatting, tidy go.mod files, the pinned linter, which runs the analyzers of go vet, too.
source "$(dirname "$0")/lib.sh"

mapfile -t files < <(git ls-files -co --exclude-standard --deduplicate '*.go' | while read -r f; do [ -f "$f" ] && echo "$f"; done)
unformatted=$(gofmt -s -l "${files[@]}")
if [ -n "$unformatted" ]; then
	printf 'lint: not formatted (run make fmt):\n%s\n' "$unformatted" >&2
	exit 1
fi

for module in . websocket bench e2e/acme e2e/gosdk; do
	(cd "$module" && go mod tidy -diff) || {
		echo "lint: run go mod tidy in $module" >&2
		exit 1
	}
done

tools/words.sh

# Each published module must also build by itself, as its users will build it. Nothing is linked: tests run the programs.
for module in . websocket; do
	(cd "$module" && GOWORK=off go list -export ./... >/dev/null)
done

linter=".tools/golangci-lint-$GOLANGCI_LINT_VERSION"
[ -x "$linter" ] || tools/setup.sh
"$linter" run "${PKGS[@]}"
