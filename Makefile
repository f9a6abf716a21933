# The two commands of a new user are `make run` and `make test`; the others are their parts.
.PHONY: help run install install-dev check test faults escalations format lock screenshots bench detection clean
.DEFAULT_GOAL := help
BIN := .venv/bin

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

run: install ## Start Packwatch with a simulated convoy and print its address
	@$(BIN)/packwatch up --demo

install: ## Set up .venv and build the pages, without starting
	@scripts/install

install-dev:
	@scripts/install --dev

check: install-dev ## Lint, types, the floors of the house, and the front end's checks
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@cd dashboards/web && ../../scripts/with-node npm run --silent check && ../../scripts/with-node npm test --silent

test: install-dev ## Run every test against real brokers, databases and a real browser
	@scripts/test-servers
	@scripts/test-peers
	@$(BIN)/pytest

faults: install-dev ## 200 rounds of harm against all parts as real processes; SEED= and ROUNDS= choose
	@scripts/test-servers
	@$(BIN)/python tests/faults/run.py --seed $(or $(SEED),1) --rounds $(or $(ROUNDS),200) $(if $(SEED)$(ROUNDS),,--output bench/faults.json)

escalations: install-dev ## 200 escalations in which alert service and database are killed; SEED= and ROUNDS= choose
	@scripts/test-servers
	@$(BIN)/python tests/escalations/run.py --seed $(or $(SEED),1) --rounds $(or $(ROUNDS),200) $(if $(SEED)$(ROUNDS),,--output bench/escalations.json)

format: install-dev ## Let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Pin the dependencies of pyproject.toml again
	@scripts/lock

screenshots: install-dev ## Take the pictures of the pages in docs/images
	@scripts/test-servers
	@$(BIN)/python scripts/screenshots.py

bench: install-dev ## Measure the main job, ingest, the alert core, a long outage and the screens; results go to bench/*.json
	@scripts/test-servers
	@$(BIN)/python bench/main_job.py
	@$(BIN)/python bench/ingest.py
	@$(BIN)/python bench/alert_core.py
	@$(BIN)/python bench/detector.py
	@$(BIN)/python bench/outage.py
	@$(BIN)/python bench/dashboards.py

detection: install-dev ## Score the detector on simulated and measured packs; writes bench/detection.json and docs/detection.md
	@$(BIN)/python bench/detection.py

clean: ## Remove what was installed and built; the data directory stays
	rm -rf .venv .venv-peers tests/peers/node_modules dashboards/web/node_modules dashboards/static *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
