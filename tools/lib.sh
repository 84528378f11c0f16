# Sourced by the other scripts: they run from the root of the repository and share these.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The one place where tool versions are pinned.
GOLANGCI_LINT_VERSION=v2.15.0

# The packages of all modules.
PKGS=(./... ./websocket/... ./bench/... ./e2e/acme/...)

# say prints a line of progress with the seconds since the script began.
say() { printf '== %4ds  %s\n' "$SECONDS" "$*"; }
