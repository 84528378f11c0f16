#!/usr/bin/env bash
# Everything that CI runs, in an order that ends with the results of go test.
source "$(dirname "$0")/lib.sh"

say "setup: what the tests need"
tools/setup.sh
say "lint: gofmt, go mod tidy, go vet, golangci-lint"
tools/lint.sh
say "cross: the library and the binary for other systems"
tools/cross.sh
say "fuzz: every target for ${FUZZTIME:-9s}"
tools/fuzz.sh "${FUZZTIME:-9s}"
# The linter's stage runs go vet on all packages, tests included: go test need not do it again.
export GOFLAGS="$GOFLAGS -vet=off"
say "test: the library without the race detector, for the tests that count allocations"
go test -shuffle=on -timeout=10m ./websocket/...
say "test: conformance without it, too: its largest cases on all servers"
go test -shuffle=on -timeout=10m ./e2e/conformance
say "test: all modules, race detector, shuffled"
# The packages of e2e run one binary, instead of linking it a dozen times.
E2E_HANDFAST=$(mktemp -d)
export E2E_HANDFAST
trap 'rm -rf "$E2E_HANDFAST"' EXIT
chmod 755 "$E2E_HANDFAST"
go build -race -o "$E2E_HANDFAST/handfast" ./cmd/handfast
# Many wait for timers and processes most of the time: three packages at a time keep two processors busy.
go test -race -shuffle=on -timeout=20m -p=3 "${PKGS[@]}"
