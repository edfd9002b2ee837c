# parley: `make` shows what there is.
.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 30s

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: ## find or start the servers, then run all tests with the race detector
	@bash .ci/test

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

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: help test check fmt lint fuzz bench
