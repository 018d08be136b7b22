# Verdict. `make help` lists the commands.
.DEFAULT_GOAL := help
SHELL := /bin/sh
# Compiled once, not in each of the some hundred processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE
.SHELLFLAGS := -eu -c

VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .venv-clients
RUN_GROUPS := web,workers,embedded
ALL_GROUPS := $(RUN_GROUPS),s3,imports,test,lint
# Processes of the tests; two more than there are cores, as many of them wait for their workers.
CORES := $(shell getconf _NPROCESSORS_ONLN)
JOBS ?= $(shell expr $(CORES) + 2)
PYTEST = $(BIN)/python -m pytest --quiet -n $(JOBS)
# A file's tests stay in one process, which builds what they share once.
BY_FILE := --dist loadfile --no-loadscope-reorder

.PHONY: help setup run test test-postgresql test-sqlite test-browser test-firefox test-quick test-clients test-all lint bench screenshots clean

help:  ## List the commands.
	@sed -n 's/^\([a-z-]*\):.*  ## /\1|/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  make %-16s %s\n' "$$name" "$$text"; done

run: $(VENV)/.installed-run  ## Start everything in the foreground: make run [HOST=] [PORT=]
	@exec env $(MAKEOVERRIDES) $(BIN)/verdict up

setup: $(VENV)/.installed-all $(if $(PEERS),$(VENV)/.installed-peers)  ## Install everything into .venv; PEERS=1 adds what `make bench` compares with.

test: test-postgresql test-sqlite test-browser  ## Run every test: on PostgreSQL, what has SQL of its own on SQLite too, then in a browser.

test-postgresql: $(VENV)/.installed-all
	$(PYTEST) $(BY_FILE) -m "not (browser or exhaustive)" --database=postgresql

test-sqlite: $(VENV)/.installed-all
	$(PYTEST) $(BY_FILE) -m "sql and not (browser or exhaustive)"

# Skipped without a Chromium (CHROMIUM=path names one), except where CI is set: there it fails.
test-browser: $(VENV)/.installed-all
	$(PYTEST) --dist worksteal -m "browser and not exhaustive" -rs tests/e2e

test-clients: $(VENV)/.installed-all $(CLIENTS)/mlflow-2/.installed $(CLIENTS)/mlflow-3/.installed $(CLIENTS)/libraries/.installed  ## MLflow's own clients against the server (installs them).
	CLIENTS=$(CLIENTS) $(PYTEST) -n 0 tests/clients/mlflow_clients.py

test-firefox: $(VENV)/.installed-all  ## Open every page in Debian's Firefox (firefox-esr, or FIREFOX=path).
	$(PYTEST) -n 0 -s tests/e2e/firefox.py

test-quick: JOBS = $(CORES)
test-quick: $(VENV)/.installed-all  ## Run what needs neither processes nor HTTP nor a browser nor long, on SQLite: while one works.
	$(PYTEST) $(BY_FILE) -m "not (browser or http or processes or thorough or exhaustive)" --hypothesis-profile=quick

test-all: $(VENV)/.installed-all  ## Run every test on both databases, in the browser too, at length.
	$(PYTEST) $(BY_FILE) -m "not browser" --hypothesis-profile=long
	$(PYTEST) $(BY_FILE) -m "database and not browser" --database=postgresql
	$(PYTEST) --dist worksteal -m browser -rs tests/e2e
	$(PYTEST) --dist worksteal -m browser -rs tests/e2e --database=postgresql

lint: $(VENV)/.installed-all  ## Check style, types, migrations and the settings for production.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run
	BEHIND_TLS=1 $(BIN)/python manage.py check --deploy --fail-level WARNING

# Those that replay published results take their folder as an argument.
WITH_DATA := verdicts findings findings_logs extrapolation

bench: $(VENV)/.installed-all  ## Run every benchmark (make setup PEERS=1 first); DATA=folder for those that replay results.
	@for file in benchmarks/*.py; do \
		module=$$(basename "$$file" .py); data=""; \
		case "$$module" in _*) continue;; esac; \
		grep -q '^if __name__ == "__main__"' "$$file" || continue; \
		for each in $(WITH_DATA); do if [ "$$module" = "$$each" ]; then data="$(DATA)"; \
			if [ -z "$$data" ]; then echo "== $$module: left out, it needs DATA=folder"; continue 2; fi; fi; done; \
		echo "== $$module"; \
		$(BIN)/python -m "benchmarks.$$module" $$data || failed="$${failed:-} $$module"; done; \
	if [ -n "$${failed:-}" ]; then echo "short of a goal, or failed:$$failed" >&2; exit 1; fi

screenshots: $(VENV)/.installed-all  ## Take the README's pictures anew; EVERY=folder: of every page, wide and narrow, light and dark.
	$(BIN)/python -m tests.screenshots $(if $(EVERY),--every $(EVERY),docs/images)

clean:  ## Remove .venv and caches; data in var/ stays.
	rm -rf $(VENV) staticfiles .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

$(CLIENTS)/mlflow-2/.installed: | $(VENV)/bin/python
	$(BIN)/python -m venv $(CLIENTS)/mlflow-2
	$(CLIENTS)/mlflow-2/bin/pip install --quiet "mlflow-skinny~=2.22.0"
	@touch $@

$(CLIENTS)/mlflow-3/.installed: | $(VENV)/bin/python
	$(BIN)/python -m venv $(CLIENTS)/mlflow-3
	$(CLIENTS)/mlflow-3/bin/pip install --quiet "mlflow~=3.17"
	@touch $@

$(CLIENTS)/libraries/.installed: | $(VENV)/bin/python
	$(BIN)/python -m venv $(CLIENTS)/libraries
	$(CLIENTS)/libraries/bin/pip install --quiet "mlflow~=3.17" "torch~=2.13.0" lightning "transformers[torch]" optuna "optuna-integration[mlflow]" xgboost
	@touch $@

# One stamp for each set of groups, older than pyproject.toml when its list may have changed.
$(VENV)/.installed-%: pyproject.toml | $(VENV)/bin/python
	@case "$*" in \
		run) groups=$(RUN_GROUPS);; all) groups=$(ALL_GROUPS);; peers) groups=$(ALL_GROUPS),peers;; esac; \
		if ! grep -q '^\[project\]' pyproject.toml; then echo "verdict: run make in the project's folder." >&2; exit 1; fi; \
		echo "Installing into $(VENV) (minutes the first time) ..."; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$$groups]" || { \
			echo "verdict: pip could not install; its message is above." >&2; exit 1; }
	@case "$*" in peers) touch $(VENV)/.installed-all;; esac
	@touch $(VENV)/.installed-run $@

$(VENV)/bin/python:
	@for python in $(PYTHON) python3 python3.11 python3.12 python3.13; do \
		if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; \
		then found=$$python; break; fi; done; \
	if [ -z "$${found:-}" ]; then \
		echo "verdict: needs Python 3.11, 3.12 or 3.13, found $$($(or $(PYTHON),python3) --version 2>&1 || true); name one with make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	$$found -m venv $(VENV) || { rm -rf $(VENV); \
		echo "verdict: $$found cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
