# parley: `make` lists all targets.
.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 30s

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: ## find or start the servers, then run all tests with the race detector
	@$(GO) test -race -tags faults ./internal/failpoint
	@$(GO) run ./internal/tools/testservers run -- $(GO) test -race -vet=off -shuffle=on -timeout 30m -p 3 $(SLOW) work

# In the order of its name it would be last, with nothing beside it. make check and CI run go vet.
SLOW = ./sqlite

servers-stop: ## stop the servers that make test started
	@$(GO) run ./internal/tools/testservers stop

check: ## required before each commit: format, vet, lint, API changes, short tests
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet work
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory api
	$(GO) test -short -p 4 work # most packages wait for the servers

api: ## list the changes of the exported API since the last commit of main
	@bash .ci/api

fmt: ## format the code
	gofmt -w .

lint: ## run the linter, installed into .bin at its pinned version
	@bash .ci/lint

fuzz: ## run each fuzz target for FUZZTIME (30s)
	@for pkg in $$($(GO) list work); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
	  done; done

faults-quick: ## the fault tests that are part of make test
	@$(GO) run ./internal/tools/testservers run -- $(GO) test -race -timeout 10m ./faulttests/

faults: ## all fault tests, with a table of what was lost, doubled and reordered
	@PARLEY_FAULTS=all $(GO) run ./internal/tools/testservers run -- $(GO) test -race -timeout 90m -v ./faulttests/

faults-cluster: ## the fault tests on three RabbitMQ nodes and on a PostgreSQL primary with a synchronous standby, with a table
	@PARLEY_FAULTS=cluster $(GO) run ./internal/tools/testservers run -- $(GO) test -timeout 60m -v -run '$(FAULTS_CLUSTER)' ./faulttests/

FAULTS_CLUSTER ?= OnACluster|AClusterThat|AFailOver|AQuorumQueue
matrix: ## as root, run the suites against other versions of the servers, in chroots of Debian, with a table
	@$(GO) run ./internal/tools/matrix $(MATRIX)

SOAK ?= 30m
soak: ## all faults at once, for SOAK (30m), on servers of its own
	PARLEY_FAULTS_SOAK=$(SOAK) $(GO) test -race -timeout 0 -v -run '^TestASoak' ./faulttests/

BENCH_PACKAGES = . ./internal/jsonkeys ./memory ./mysql ./postgres ./rabbitmq ./rest ./sqlite
bench: export PARLEY_BENCH_ROUNDS ?= 3
bench: export PARLEY_BENCH_MESSAGES ?= 10000
bench: export PARLEY_BENCH_COMMITS ?= 2000
bench: export PARLEY_BENCH_BACKLOG ?= 100000
bench: export PARLEY_BENCH_PARKED ?= 100000
bench: export PARLEY_BENCH_PENDING ?= 100000
bench: ## run all benchmarks, against the raw clients and peers in one run, with sizes for about 20 minutes
	@$(GO) run ./internal/tools/testservers run -- $(GO) test -p 1 -run '^$$' -bench . -benchmem -benchtime 200ms $(BENCH_PACKAGES)
	@$(GO) run ./internal/tools/testservers run -- $(GO) -C benchmarks test -run '^$$' -bench . -benchtime 1x -timeout 30m -v .

BENCH_QUICK ?= RelayDrain$$|Consumer$$|RelayMemory|OnTx|PublishInTransaction$$|CommitToHandler$$|Writers/^16$$|TenthFails/PostgreSQL|Many|Routes
bench-quick: export PARLEY_BENCH_ROUNDS ?= 3
bench-quick: export PARLEY_BENCH_MESSAGES ?= 5000
bench-quick: export PARLEY_BENCH_COMMITS ?= 1000
bench-quick: export PARLEY_BENCH_BACKLOG ?= 50000
bench-quick: ## run a part of the benchmarks with small sizes, in about 3 minutes
	@$(GO) run ./internal/tools/testservers run -- $(GO) -C benchmarks test -run '^$$' -bench '$(BENCH_QUICK)' -benchtime 1x -timeout 6m -v .

deploy-check: ## validate all files of deploy, with helm, kustomize, systemd and the schemas (builds helm once: minutes)
	@PARLEY_HELM=$$(.ci/tool helm) GOWORK=off $(GO) -C deploy/deploycheck test -short -count=1 .

image-check: ## as root on Linux, assemble the root file system of the image and run its relay against the servers
	@PARLEY_TEST_IMAGE=1 $(GO) run ./internal/tools/testservers run -- env GOWORK=off $(GO) -C deploy/deploycheck test -count=1 -v -run Image .

release-dry: ## make a whole release of VERSION (v0.1.0) in dist, check it, publish nothing (builds tools once: minutes)
	@bash .ci/release-dry

SITE ?= dev
site: ## make the site of the documents of version SITE (dev) in site/public, and check its links (needs mkdocs-material)
	@$(GO) run ./internal/tools/site -version $(SITE)

.PHONY: help test servers-stop faults-quick faults faults-cluster matrix soak check api fmt lint fuzz bench bench-quick deploy-check image-check release-dry site
