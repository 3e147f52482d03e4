# Everything that is run on this repository. "make help" lists it.
#
# What a target needs and is missing is installed where that is possible (as
# root on Debian), and named where it is not.

SHELL    := bash
BIN      := $(CURDIR)/bin
GO       ?= go
FUZZTIME ?= 10s

# Pinned. It is built once into bin/, which git ignores.
GOLANGCI_VERSION := v2.15.0
GOLANGCI         := $(BIN)/golangci-lint-$(GOLANGCI_VERSION)

# Independent verifiers and witnesses for the tests, pinned likewise.
TESSERA_VERSION   := v1.0.4
TORCHWOOD_VERSION := v0.9.0
PEERS             := $(BIN)/fsck-$(TESSERA_VERSION) $(BIN)/litewitness-$(TORCHWOOD_VERSION)

PROTO := case.proto ceremony.proto counter.proto driver.proto exchange.proto message.proto move.proto questions.proto records.proto

# $(call need,command,package): the command is there, or its Debian package is
# installed.
need = @command -v $(1) >/dev/null || .ci/install $(2)

.DEFAULT_GOAL := help
.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the program into bin/waypost
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/waypost ./cmd/waypost

# The race detector sees every room, and all roles in one process. The stories over
# the real binary run without, as processes of their own that share no memory; so do
# the drills, the demonstration and the benchmarks, which play the same roles once more
# and take three times as long under it. Twice as many rooms at a time as there are cores: tests also wait.
# What the detector does not look into: group arithmetic and the part of SQLite that was
# translated from C, which lock nothing and are locked by their callers, who are watched.
# It is two thirds of the time. No more than these: a package that uses generic atomics
# would have its own, unwatched ones linked for everybody's.
RACE := -race -gcflags=github.com/oasisprotocol/curve25519-voi/...=-race=false -gcflags=modernc.org/sqlite/lib=-race=false
PLAYED := /cmd/|/internal/(drill|demo|bench)
ATONCE := $(shell expr 2 '*' $$(nproc 2>/dev/null || echo 1))

.PHONY: test
test: build checkgenerate $(PEERS) ## Build, vet and test everything, with the race detector
	$(call need,gcc,gcc libc6-dev)
	$(call need,python3,python3)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || .ci/install postgresql
	$(GO) vet ./...
	CGO_ENABLED=1 $(GO) test $(RACE) -p $(ATONCE) -timeout 20m $$($(GO) list ./... | grep -vE '$(PLAYED)')
	$(GO) test -timeout 20m $$($(GO) list ./... | grep -E '$(PLAYED)')
	$(MAKE) simulate
	$(GO) test -tags planted -timeout 30m ./internal/simulate -run 'TestPlanted$$'

# The rooms that keep something, once more with their databases on a server.
# All of them take ten minutes. The gate runs those that write most; of the others it
# prepares every statement on PostgreSQL and plays whole worlds on it (make test).
ROOMS ?= witness journal publisher follow quota errand records driver questions move duplicate keyholder hub

.PHONY: testpostgres
testpostgres: ## Test every room that has a database on PostgreSQL
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || .ci/install postgresql
	WAYPOST_TEST_STORE=postgres $(GO) test -timeout 20m $(addprefix ./internal/,$(ROOMS))
	WAYPOST_TEST_STORE=postgres WAYPOST_TEST_SHARDS=3 $(GO) test -timeout 20m -skip TestOverServers ./internal/hub

# Each process plays its share of the seeds: randomness is that of a process. The
# race detector is above, with few seeds.
SEEDS ?= 300
CORES := $(shell nproc 2>/dev/null || echo 1)

.PHONY: simulate
simulate: ## Play SEEDS (300) simulated exchanges; 10000 for a night
	@mkdir -p $(BIN)
	$(GO) test -c -o $(BIN)/simulate.test ./internal/simulate
	$(BIN)/simulate.test -test.run 'Test(Replay|Engines)$$'
	@share=$$((($(SEEDS) + $(CORES) - 1) / $(CORES))); players=; \
	for n in $$(seq 1 $(CORES)); do \
		$(BIN)/simulate.test -test.timeout 0 -test.v -test.run 'TestSeeds$$' -seed $$((($$n - 1) * share + 1)) -seeds $$share & \
		players="$$players $$!"; \
	done; \
	bad=0; for player in $$players; do wait $$player || bad=1; done; exit $$bad

# Programs of others that our ledgers are held against.
$(BIN)/fsck-$(TESSERA_VERSION):
	GOBIN=$(BIN) GOFLAGS= $(GO) install github.com/transparency-dev/tessera/cmd/fsck@$(TESSERA_VERSION)
	cp $(BIN)/fsck $@

$(BIN)/litewitness-$(TORCHWOOD_VERSION):
	GOBIN=$(BIN) GOFLAGS= $(GO) install filippo.io/torchwood/cmd/litewitness@$(TORCHWOOD_VERSION)
	cp $(BIN)/litewitness $@

.PHONY: lint
lint: $(GOLANGCI) ## Run golangci-lint; .golangci.yml says why a linter is off
	$(GOLANGCI) run ./...

$(GOLANGCI):
	GOBIN=$(BIN) GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(BIN)/golangci-lint $@

# protoc comes from Debian; its plugins are built from the versions in go.mod.
.PHONY: protoc
protoc:
	$(call need,protoc,protobuf-compiler)
	@mkdir -p $(BIN)
	@$(GO) build -o $(BIN)/ google.golang.org/protobuf/cmd/protoc-gen-go connectrpc.com/connect/v2/cmd/protoc-gen-connect-go

generated = PATH="$(BIN):$$PATH" protoc -I api \
	--go_out=$(1) --go_opt=paths=source_relative \
	--connect-go_out=$(1) --connect-go_opt=paths=source_relative \
	$(addprefix waypost/v1/,$(PROTO))

.PHONY: generate
generate: protoc ## Generate the Go code in api/ from the .proto files
	$(call generated,api)

.PHONY: checkgenerate
checkgenerate: protoc ## Check that the generated code is what generate would make
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(call generated,$$dir) && cd "$$dir" && \
	find . -type f | while read -r f; do \
		diff <(sed '/^\/\/ \tprotoc  /d' "$$f") <(sed '/^\/\/ \tprotoc  /d' "$(CURDIR)/api/$$f") >/dev/null || \
		{ echo "api/$$f is not what \"make generate\" makes of the .proto files" >&2; exit 1; }; done

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s) beyond its seeds
	@grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | while read -r dir; do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | sed 's/func //'); do \
			echo "== $$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$dir" </dev/null || exit 1; \
		done; done

.PHONY: bench
bench: build ## Measure the key holder beside circl, and one check end to end
	$(BIN)/waypost bench

.PHONY: demo
demo: build ## Play the whole exchange on this machine, once
	$(BIN)/waypost demo --once

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN)
