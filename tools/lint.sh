#!/usr/bin/env bash
# The checks that need no test to run: formatting, tidy go.mod files, the pinned linter, which runs the analyzers of go vet, too.
source "$(dirname "$0")/lib.sh"

mapfile -t files < <(git ls-files -co --exclude-standard --deduplicate '*.go' | while read -r f; do [ -f "$f" ] && echo "$f"; done)
unformatted=$(gofmt -s -l "${files[@]}")
if [ -n "$unformatted" ]; then
	printf 'lint: not formatted (run make fmt):\n%s\n' "$unformatted" >&2
	exit 1
fi

# Each go.mod must be tidy, and each published module must also build by itself, as its users will build it. Nothing is linked: tests
# run the programs.
copies=()
trap 'rm -rf "${copies[@]}"' EXIT
for module in "${MODULES[@]}"; do
	mod=$(linked "$module")
	copies+=("$(dirname "$mod")")
	(cd "$module" && go mod tidy -diff -modfile="$mod") || {
		echo "lint: $module/go.mod is not tidy; the lines with + are missing, those with - are not needed" >&2
		exit 1
	}
	case $module in
	. | websocket) (cd "$module" && GOWORK=off go list -modfile="$mod" -export ./... >/dev/null) ;;
	esac
done

tools/words.sh

linter=".tools/golangci-lint-$GOLANGCI_LINT_VERSION"
[ -x "$linter" ] || tools/setup.sh

# nolintlint checks the form of a directive, not whether it names an enabled linter: one that does not has no effect.
enabled=$("$linter" linters | sed '/^Disabled/,$d' | sed -n 's/^\([a-z0-9]*\): .*/\1/p' | paste -sd'|')
if git grep -nE '//nolint:' -- '*.go' | grep -vE "//nolint:($enabled)(,($enabled))* // "; then
	echo "lint: these directives name a linter that .golangci.yml does not enable, or give no reason" >&2
	exit 1
fi

"$linter" run "${PKGS[@]}"
