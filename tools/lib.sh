# Sourced by the other scripts: they run from the root of the repository and share these.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The one place where tool versions are pinned.
GOLANGCI_LINT_VERSION=v2.15.0
NODE_VERSION=22.12.0 # only where the system's is too old to have a WebSocket

# Where setup puts that Node, and the Makefile looks, too.
PATH="$PWD/.tools/node_modules/.bin:$PATH"

# The path of the root module, and the folders of all modules; the first two are published.
PRODUCT=github.com/handfast/handfast
MODULES=(. websocket bench e2e/acme e2e/gosdk)

# The packages of all modules.
PKGS=(./... ./websocket/... ./bench/... ./e2e/acme/... ./e2e/gosdk/...)

# The tests that need what setup installs have this build tag; here all are built. Nothing is debugged: without the information for
# that, compiling takes a tenth less. With -trimpath, the tests that build as a user does find the dependencies compiled.
NODEBUG=-dwarf=false
export GOFLAGS="${GOFLAGS:-} -trimpath -tags=e2e -gcflags=all=$NODEBUG"

# The compiler, the linker and the linter need a sixth less time if they collect garbage less often; there is memory for that. Tests
# run with Go's default.
export GOGC=400
DEFAULT_GC=(-exec='env -u GOGC')

# say prints a line of progress with the seconds since the script began.
say() { printf '== %4ds  %s\n' "$SECONDS" "$*"; }

# linked prints the name of a copy of a module's go.mod, with its go.sum beside it, for -modfile: there the folders of this tree stand
# for our modules, as in go.work, which go mod tidy does not read, and which may hide that a module requires too little.
linked() {
	local copy
	copy=$(mktemp -d)
	cp "$1/go.mod" "$copy/go.mod"
	[ ! -e "$1/go.sum" ] || grep -v "^$PRODUCT[ /]" "$1/go.sum" >"$copy/go.sum"
	[ "$1" = . ] || [ "$1" = websocket ] || go mod edit -replace="$PRODUCT=$PWD" "$copy/go.mod"
	[ "$1" = websocket ] || go mod edit -replace="$PRODUCT/websocket=$PWD/websocket" "$copy/go.mod"
	echo "$copy/go.mod"
}
