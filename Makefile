# Everything a person or CI runs. `make` alone lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# A Rust installed a moment ago may not be on PATH yet.
export PATH := $(HOME)/.cargo/bin:$(PATH)

# What `make demo` passes on: ONCE=1, USERS=, GROUPS=; ARGS= for anything else.
DEMO_ARGS = $(if $(filter-out 0,$(ONCE)),--once) $(if $(USERS),--users $(USERS)) $(if $(GROUPS),--groups $(GROUPS)) $(ARGS)

##@ Use

# The dev profile: it is built in a fraction of the time, its hot dependencies are optimised (Cargo.toml), and `make
# test` can use the same build.
.PHONY: demo
demo: deps-run ## Start everything against a simulated tenant (ONCE=1: exit after the summary; USERS=, GROUPS=: its size)
	cargo run --locked -p cadastre -- demo $(DEMO_ARGS)

.PHONY: up
up: deps-run ## Start everything for real use (with DATABASE_URL: on your server, else on its own; ARGS=: its options)
	cargo run --locked --release -p cadastre -- up $(ARGS)

##@ Check

.PHONY: test
test: deps ## What CI runs: format, lints, dependency rules, all tests, the API against its description
	scripts/test.sh

.PHONY: test-full
test-full: deps ## The same with many more generated cases per property (CASES=)
	CADASTRE_TEST_KILLS=30 CADASTRE_TEST_RUNS=20 CADASTRE_TEST_MIXED=200 CADASTRE_TEST_WHOLE_TENANT=1 \
		PROPTEST_CASES=$(or $(CASES),4096) EXAMPLES=$(or $(EXAMPLES),300) scripts/test.sh

.PHONY: api-test
api-test: deps ## The API against its OpenAPI document, by schemathesis (EXAMPLES= per operation, SEED= to repeat)
	$(if $(EXAMPLES),EXAMPLES=$(EXAMPLES)) $(if $(SEED),SEED=$(SEED)) scripts/api-test.sh

.PHONY: soak
soak: deps ## Random loads against the model while the server and PostgreSQL are killed, for so many MINUTES (30)
	CADASTRE_SOAK_MINUTES=$(or $(MINUTES),30) cargo test --locked -p ingest-api --test it -- --nocapture whatever_is_killed_meanwhile

# What the benchmarks of the ingest engine pass on: PRINCIPALS=, ASSIGNMENTS=; ARGS= for anything else (ARGS=--help).
BENCH_LOAD = cargo bench --locked -p ingest-api --bench load --

.PHONY: bench
bench: deps-run ## Measure the ingest engine: first load, unchanged, 1 % changed, against COPY (PRINCIPALS=; docs/performance.md)
	$(BENCH_LOAD) $(if $(PRINCIPALS),--principals $(PRINCIPALS)) $(ARGS)

.PHONY: bench-large
bench-large: deps-run ## Load ten million assignments once and time every million of them (ASSIGNMENTS=)
	$(BENCH_LOAD) --assignments $(or $(ASSIGNMENTS),10000000) $(ARGS)

.PHONY: bench-small
bench-small: deps-run ## Load 100,000 records of 1.2 KB in batches of 500, twice (PRINCIPALS=)
	$(BENCH_LOAD) --small-batches $(if $(PRINCIPALS),--principals $(PRINCIPALS)) $(ARGS)

.PHONY: bench-history
bench-history: deps-run ## Load 20 days on each of which 1 % changes, and print how large the history is (PRINCIPALS=, DAYS=)
	$(BENCH_LOAD) --days $(or $(DAYS),20) $(if $(PRINCIPALS),--principals $(PRINCIPALS)) $(ARGS)

.PHONY: bench-promotion
bench-promotion: deps-run ## Give attributes columns while readers and a load go on (PRINCIPALS=, a million by default)
	$(BENCH_LOAD) --promotion --principals $(or $(PRINCIPALS),1000000) $(ARGS)

.PHONY: bench-read
bench-read: deps-run ## Measure lists and exports over HTTP (PRINCIPALS=, RESOURCES=, ASSIGNMENTS=, EXPORTED=; ARGS= for anything else)
	cargo bench --locked -p ingest-api --bench read -- --principals $(or $(PRINCIPALS),2000000) --resources $(or $(RESOURCES),500000) \
		--assignments $(or $(ASSIGNMENTS),10000000) --exported $(or $(EXPORTED),1000000) $(ARGS)

.PHONY: bench-views
bench-views: deps-run ## Measure effective access and the refresh of the views (ASSIGNMENTS=500000 | 10000000)
	cargo bench --locked -p views --bench access -- $(or $(ASSIGNMENTS),500000)

.PHONY: bench-crawl
bench-crawl: deps-run ## Crawl simulated tenants: calls, time, CPU, memory (SCENARIO=latency|cap|quota|memory, RUNS=; ARGS= for anything else)
	cargo build --locked --release -p crawler-entra
	cargo bench --locked -p cadastre --bench crawl -- $(SCENARIO) $(if $(RUNS),--runs $(RUNS)) $(ARGS)

.PHONY: lint
lint: ## Formatting and lints only
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

.PHONY: deny
deny: deps ## Licences, bans and sources of the dependencies
	scripts/deny.sh check licenses bans sources

.PHONY: advisories
advisories: deps ## Known vulnerabilities in the dependencies (needs the network)
	scripts/deny.sh check advisories

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

##@ Machine

.PHONY: deps
deps: ## Install what is missing to build and test (CADASTRE_NO_INSTALL=1: only say what is missing)
	@scripts/deps.sh compiler postgres curl python node oidc-provider faketime cargo-deny

# What running needs; the tools of the checks are not among it.
.PHONY: deps-run
deps-run:
	@scripts/deps.sh compiler postgres

.PHONY: help
help: ## This list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
