# What people do with this repository. `make` alone lists it. Everything but test-kafka, test-clients, test-api, soak, crash, bench and
# lint needs Go and nothing else.

GOLANGCI_LINT := bin/golangci-lint-v2.15.0
FUNCTIONS     := $(wildcard functions/*/bootstrap)
# The processor that the functions' binaries are for: amd64 or arm64.
ARCH           = $(shell go env GOARCH)
# Tags for the functions' binaries: lambda.norpc for what runs on Lambda only, without consumer groups, /metrics, SQLite and stores of
# handled events; stores for these (make sam-build TAGS=stores), nopostgres or noredis to leave one of them out.
TAGS          ?=
COMMA         := ,
# More arguments for `millrace dev`, the benchmarks and the soak: make run ARGS='--data .data', make bench ARGS='--rounds 5',
# make soak ARGS='-exactly-once'
ARGS          ?=

# The race detector needs a C compiler; without one Go turns cgo off by itself.
RACE    = $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)
GO_TEST = go test $(RACE) -shuffle=on -count=1 -timeout 15m

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: bin/millrace ## Run everything on this machine: Kafka, all functions, sample orders
	bin/millrace dev --demo $(ARGS)

.PHONY: test
test: ## Run the tests that need nothing but Go
	$(GO_TEST) ./...

# The packages whose tests ask for a broker. The functions' own ask for an embedded one, with the shop's topics to themselves; on
# Apache Kafka the whole shop runs, in the small crash test, and has a cluster to itself.
ON_KAFKA = $(sort $(dir $(shell grep -rl --include='*_test.go' 'runtimetest\.Kafka.t,' localdev runtime)))
CRASH    = go test -v -count=1 -timeout 20m -run PostgreSQL ./functions/internal/crashtest

.PHONY: test-kafka
test-kafka: bin/apachekafka ## Run the tests that use a broker against Apache Kafka (Java 17, Maven)
	bin/apachekafka -- $(GO_TEST) $(ON_KAFKA:%=./%)
	MILLRACE_TEST_CRASH=400 bin/apachekafka -- $(CRASH)

# -v, for a test without its client is skipped, and the reason should be seen.
.PHONY: test-clients
test-clients: ## Drive millrace by kcat and kafkajs (kcat, Node 18)
	@if command -v npm >/dev/null; then npm ci --prefix localdev/foreign --no-audit --no-fund; fi
	MILLRACE_TEST_CLIENTS=1 go test -v -count=1 -timeout 10m ./localdev/foreign

.PHONY: test-sam
test-sam: .venv/bin/sam ## Check template.yaml, build by sam and invoke a function in a container (Python; Docker, or root on Debian)
	infra/sam/test.sh

.PHONY: test-api
test-api: .venv/bin/schemathesis ## Have schemathesis send the API of orders what its description allows, and what it does not (Python)
	MILLRACE_TEST_SCHEMATHESIS=$(CURDIR)/$< go test -v -count=1 -run '^TestSchemathesis$$' ./functions/order-api

# What sam build leaves to the environment: a static binary without what Lambda has no use for.
.PHONY: sam-build
sam-build: .venv/bin/sam ## Build the functions for sam deploy, arm64 (Python; ARGS='--parameter-overrides Architecture=x86_64')
	CGO_ENABLED=0 GOFLAGS="-trimpath '-tags=lambda.norpc$(addprefix $(COMMA),$(TAGS))' '-ldflags=-s -w'" .venv/bin/sam build $(ARGS)

BENCH = go -C runtime/bench run . --write ../BENCHMARKS.md $(ARGS)

.PHONY: soak
soak: bin/soak ## Kill, stop and cut off three members and their Apache Kafka for up to ten minutes (ARGS=-exactly-once)
	bin/soak $(ARGS)

.PHONY: crash
crash: bin/apachekafka ## Kill the shop at random moments in 2,000 orders on PostgreSQL and Apache Kafka, and compare what everybody knows
	MILLRACE_TEST_CRASH=2000 bin/apachekafka -- $(CRASH)

.PHONY: soak-broken
soak-broken: ## Show that the soak finds out members that are broken on purpose
	runtime/runtimetest/soak/broken/run.sh

.PHONY: bench
bench: bin/apachekafka ## Measure against raw sarama, the CloudEvents SDK and Watermill (Apache Kafka too: Java 17, Maven)
	@if command -v java >/dev/null && command -v mvn >/dev/null; then bin/apachekafka -- $(BENCH); \
		else echo "Apache Kafka is skipped: it needs java and mvn" >&2; $(BENCH); fi

.PHONY: memory
memory: ## Measure what a function takes before a million records, and before batches that are bombs (Linux)
	go run ./runtime/runtimetest/memory

.PHONY: build
build: bin/millrace $(FUNCTIONS:%=bin/%) ## Build the command and each function (linux, static, ARCH=arm64 for Graviton)

.PHONY: generate
generate: ## Write the files that follow from the code
	go generate ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Look for mistakes and strange style
	@unformatted=$$(git ls-files -co --exclude-standard -- '*.go' | xargs gofmt -l) && \
		if [ -n "$$unformatted" ]; then echo "gofmt would change:" $$unformatted; exit 1; fi
	go vet ./...
	$(GOLANGCI_LINT) run
	cd runtime/bench && ../../$(GOLANGCI_LINT) run

.PHONY: verify
verify: ## Check that generated files, modules and imports are as they should be
	@before=$$($(STATE)) && $(MAKE) --no-print-directory generate && after=$$($(STATE)) && \
		if [ "$$before" != "$$after" ]; then \
			echo "generated files were out of date; commit what make generate changed:"; git status --short; exit 1; fi
	go mod tidy -diff
	go mod verify
	go -C runtime/bench mod tidy -diff
	go -C runtime/bench mod verify
	go test -count=1 ./infra/...

# What the work tree holds that the last commit does not, as one checksum.
STATE = { git diff HEAD; git ls-files -o --exclude-standard -z | xargs -0 cat; } | cksum

.PHONY: clean
clean: ## Remove what the other targets built
	rm -rf bin dist localdev/foreign/node_modules .aws-sam .venv

# Go knows best whether something has to be built again.
.PHONY: FORCE
bin/millrace: FORCE
	go build -o $@ ./localdev/millrace

bin/apachekafka: FORCE
	go build -o $@ ./runtime/runtimetest/apachekafka

bin/soak: FORCE
	go build -o $@ ./runtime/runtimetest/soak

bin/functions/%/bootstrap: FORCE
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -trimpath -tags '$(TAGS)' -ldflags '-s -w' -o $@ ./functions/$*/bootstrap

.venv/bin/sam: infra/sam/requirements.txt
.venv/bin/schemathesis: infra/api/requirements.txt
.venv/bin/%:
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(@:bin/golangci-lint-%=%)
	mv bin/golangci-lint $@
