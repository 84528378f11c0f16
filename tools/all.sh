#!/usr/bin/env bash
# Everything that CI runs, in an order that ends with the results of go test.
source "$(dirname "$0")/lib.sh"

say "setup: what the tests need"
tools/setup.sh
say "lint: gofmt, go mod tidy, golangci-lint with the analyzers of go vet"
tools/lint.sh
say "cross: the library and the binary for other systems"
tools/cross.sh
say "fuzz: every target for ${FUZZTIME:-4s}, parsers for ${FUZZTIME:-2s}"
tools/fuzz.sh "${FUZZTIME:-4s}" "${FUZZTIME:-2s}"
# The linter's stage runs the analyzers of go vet on all packages, tests included: go test need not do it again.
export GOFLAGS="$GOFLAGS -vet=off"
say "test: without the race detector, the largest cases of conformance and the packages that count allocations"
go test "${DEFAULT_GC[@]}" -shuffle=on -timeout=10m ./e2e/conformance ./websocket/wsjson ./websocket/internal/...
go test "${DEFAULT_GC[@]}" -shuffle=on -timeout=10m -run='^Test.*(Alloc|Small|FewHundredBytes)' ./websocket
go test "${DEFAULT_GC[@]}" -shuffle=on -timeout=10m -run='^Test(SessionSize|TraceCostsNothing)$' ./hub
go test "${DEFAULT_GC[@]}" -timeout=10m -run='^TestIdleConnection$' ./channels # the race detector changes sizes
say "test: all modules, race detector, shuffled"
# The packages of e2e run one binary, instead of linking it a dozen times.
E2E_HANDFAST=$(mktemp -d)
export E2E_HANDFAST
trap 'rm -rf "$E2E_HANDFAST"' EXIT
chmod 755 "$E2E_HANDFAST"
go build -race -o "$E2E_HANDFAST/handfast" ./cmd/handfast
# Many wait for timers and processes most of the time: four packages at a time keep two processors busy. Those that take longest are
# first, so that others are compiled meanwhile and none of them runs alone at the end.
longest=(./hub/natsengine ./websocket ./e2e/cluster ./e2e/conformance ./balance/proxy ./e2e/balance ./hub/redisengine ./gateway ./e2e/docs)
go test "${DEFAULT_GC[@]}" -race -ldflags='-s -w' -shuffle=on -timeout=20m -p=4 "${longest[@]}" "${PKGS[@]}"
