# Sourced by the other scripts: they run from the root of the repository and share these.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The one place where tool versions are pinned.
GOLANGCI_LINT_VERSION=v2.15.0
NODE_VERSION=22.12.0 # only where the system's is too old to have a WebSocket

# Where setup puts that Node, and the Makefile looks, too.
PATH="$PWD/.tools/node_modules/.bin:$PATH"

# The packages of all modules.
PKGS=(./... ./websocket/... ./bench/... ./e2e/acme/... ./e2e/gosdk/...)

# The tests that need what setup installs have this build tag; here all are built. Nothing is debugged: without the information for
# that, compiling takes a tenth less.
NODEBUG=-dwarf=false
export GOFLAGS="${GOFLAGS:-} -tags=e2e -gcflags=all=$NODEBUG"

# say prints a line of progress with the seconds since the script began.
say() { printf '== %4ds  %s\n' "$SECONDS" "$*"; }
