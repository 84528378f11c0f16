# Every gate is a target here, and CI runs nothing else: `make test` is what .ci/run calls.
# `make help` lists the targets; the scripts behind them are in tools/.

SHELL := /bin/bash
export PATH := $(CURDIR)/.tools/node_modules/.bin:$(PATH)
.DEFAULT_GOAL := help

# The packages of the modules that go.work ties together.
PKGS := ./... ./websocket/... ./bench/... ./e2e/acme/... ./e2e/gosdk/...

# The tests that need what setup installs have this build tag.
ALL := -tags=e2e

# How long each fuzz target runs.
FUZZTIME ?= 10s

# What is mutated, and the flags of the tester.
OF ?= ./websocket/...
MUTATE ?= -short

# Flags of the drill: -clients=300 for a smaller one.
DRILL ?=

.PHONY: help setup fmt lint cross test race fuzz bench e2e servers drill cover mutate docs build clean

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

build: ## the binary, as bin/handfast
	go build -o bin/handfast ./cmd/handfast

fmt: ## format every Go file
	gofmt -s -w $$(git ls-files -co --exclude-standard '*.go')

lint: ## formatting, tidy modules, the pinned linter, the analyzers of go vet included
	tools/lint.sh

cross: ## check the library and the binary for other systems
	tools/cross.sh

race: ## the tests of all modules, with the race detector and in a random order
	go test $(ALL) -race -shuffle=on -timeout=20m $(PKGS)

fuzz: ## every fuzz target, for FUZZTIME (10s) each
	tools/fuzz.sh $(FUZZTIME)

bench: ## every server side by side, in less than three minutes (see bench/README.md)
	cd bench && go run ./cmd/compare

e2e: setup ## the binary as a user would run it, against real clients
	go test $(ALL) -race -shuffle=on -timeout=20m -v ./e2e/... ./e2e/acme/... ./e2e/gosdk/...

servers: ## real servers, faulty and healthy, and what handfast explain says about each; installs them, and is no part of CI
	tools/servers.sh

drill: setup ## faults under thousands of clients, in a cluster and behind the balancer: writes docs/*drill.md (as root)
	go test $(ALL) -timeout=30m -v ./e2e/cluster -drill $(DRILL)
	go test $(ALL) -timeout=30m -v ./e2e/balance -drill $(DRILL)

cover: ## the share of statements that the tests run
	go test $(ALL) -coverprofile=coverage.out -coverpkg=./...,./websocket/... ./... ./websocket/...
	@go tool cover -func=coverage.out | tail -n 1

mutate: ## changes to the code that tests do not see: make mutate OF=./websocket/loop, MUTATE='-n 60 -seed 2'
	go run ./internal/mutate $(MUTATE) $(OF)

docs: ## write the generated documents again: docs/rfc.md, docs/diagnoses.md, docs/config.md, docs/metrics.md, recordings
	go run ./internal/rfctable/gen
	go generate ./explain ./config ./observe
	go test ./e2e/binary -run TestRecordings -rewrite

setup: ## install what the tests need: Debian packages, Node modules, Go modules
	tools/setup.sh

test: ## everything that CI runs, setup included
	tools/all.sh

clean: ## remove what was built
	rm -rf bin .tools coverage.out
