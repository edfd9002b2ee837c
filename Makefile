# parley: `make` shows what there is.
.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 30s

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: ## find or start the servers, then run all tests with the race detector
	@$(GO) test -race -tags faults ./internal/failpoint
	@$(GO) run ./internal/tools/testservers run -- $(GO) test -race -shuffle=on -timeout 18m ./...

servers-stop: ## stop the servers that make test has started by itself
	@$(GO) run ./internal/tools/testservers stop

check: ## what every commit must pass: format, vet, lint, short tests
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	@$(MAKE) --no-print-directory lint
	$(GO) test -short ./...

fmt: ## format the code
	gofmt -w .

lint: ## run the linter, installed into .bin at its pinned version
	@bash .ci/lint

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

faults-quick: ## the fault tests that are part of make test
	@$(GO) run ./internal/tools/testservers run -- $(GO) test -race -timeout 10m ./faulttests/

faults: ## all fault tests, with a table of what was lost, doubled and reordered
	@PARLEY_FAULTS=all $(GO) run ./internal/tools/testservers run -- $(GO) test -race -timeout 30m -v ./faulttests/

SOAK ?= 30m
soak: ## all faults at once, for SOAK (30m), on servers of its own
	PARLEY_FAULTS_SOAK=$(SOAK) $(GO) test -race -timeout 0 -v -run '^TestASoak' ./faulttests/

bench: ## run the benchmarks, against the raw clients and peers in one run
	$(GO) test -run '^$$' -bench . -benchmem ./...
	@$(GO) run ./internal/tools/testservers run -- $(GO) -C benchmarks test -run '^$$' -bench . -benchtime 1x -timeout 60m ./...


.PHONY: help test servers-stop faults-quick faults soak check fmt lint fuzz bench
