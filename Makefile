# Every target with one line: make help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET_DIR)/debug

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## the whole way from two manifests to packets on a real IPVS kernel, step by step
	@e2e/setup/check rust lab $(if $(CLUSTER),go)
	@e2e/setup/packages lab
	@echo "== building the programs (the first time this takes some minutes)"
	@cargo build --locked --workspace --bins
	@$(if $(CLUSTER),e2e/control-plane/build kube-apiserver etcd kubectl)
	@$(BIN)/lvs-lab demo $(if $(CLUSTER),--cluster)

.PHONY: test
test: setup ## every test there is; ends with a table of what was proved (LVS_SEED=N repeats a run)
	@cargo build --locked --workspace --bins
	@$(BIN)/lvs-test

.PHONY: bench
bench: ## how near the agent comes to what the kernel allows: one table, and target/bench.json (takes 10 minutes)
	@e2e/setup/check rust lab go
	@e2e/setup/packages lab second-kernel bench
	@e2e/setup/fetch-kernel
	@echo "== building the programs, optimised (the first time this takes some minutes)"
	@cargo build --locked --workspace --profile measure --bin lvs-lab --bin lvs-node-agent
	@e2e/bench/moby-ipvs/build $(TARGET_DIR)/measure
	@$(TARGET_DIR)/measure/lvs-lab bench --json target/bench.json

.PHONY: mutants
mutants: beside ## seed named bugs one at a time; each must turn its row of `make test` red (ONLY=PREFIX for some)
	@e2e/control-plane/build
	@cargo build --locked --workspace --bins
	@$(BIN)/lvs-mutants $(if $(ONLY),--only '$(ONLY)')

.PHONY: fuzz
fuzz: ## fuzz the netlink parser, led by coverage, for SECONDS=600; the next run goes on from what this one learned
	@e2e/setup/check rust
	@node-agent/ipvs/fuzz/run $(or $(SECONDS),600)

.PHONY: e2e-kind
e2e-kind: ## a release through its whole life on kind (Kubernetes in Docker), for people who have Docker
	@e2e/setup/check rust
	@e2e/kind/run

.PHONY: setup
setup: beside ## install and build what the tests need beside the tree: packages, the lab's kernels, an API server, helm
	@echo "== building Kubernetes' programs and ours side by side (the first time this takes some minutes)"
	@e2e/control-plane/build & control_plane=$$!; \
	  cargo build --locked --workspace --all-targets || { kill $$control_plane; exit 1; }; \
	  wait $$control_plane

# The quick part of `setup`.
.PHONY: beside
beside:
	@e2e/setup/check rust lab go
	@e2e/setup/packages lab second-kernel cluster
	@[ "$${LAB:-}" = host ] || e2e/setup/fetch-kernel
	@e2e/cluster/fetch-helm

.PHONY: build
build: ## the programs, for development, and the agent that tests kill around every change
	@e2e/setup/check rust
	@cargo build --locked --workspace --bins
	@cargo build --locked --workspace --features lvs-node-agent/crash-points --bin lvs-node-agent-crash-points

.PHONY: lint
lint: ## format, and clippy without a warning
	@e2e/setup/check rust
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings

.PHONY: fmt
fmt: ## format the code
	@cargo fmt --all

.PHONY: check-generated
check-generated: ## committed files that are generated are what would be generated now
	@e2e/setup/check rust
	@e2e/setup/check-generated

.PHONY: generate
generate: ## write the generated files: custom resource definitions, chart copies, deploy/
	@cargo build --locked --workspace --bins
	@$(BIN)/crdgen crds
	@deploy/render
