# One command per thing a person does here. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help run install test test-fast translations check demo bench-page bench-queue bench-curation bench-training bench-overoptimisation race screenshots clean system-packages

PORT ?= 8000
VENV := .venv
# The build of torch that is installed stays until another one is asked for by name.
TORCH ?= $(or $(firstword $(shell cat $(VENV)/.installed 2>/dev/null)),cpu)
$(if $(filter $(TORCH),cpu cuda),,$(error TORCH is '$(TORCH)'; it may be cpu or cuda))
PYTHON := $(VENV)/bin/python
CONSTRAINTS := $(if $(filter cuda,$(TORCH)),,-c constraints-cpu.txt)
# What the installed environment was made from; a change in any of it installs again.
WANTED = $(TORCH) $(shell cat pyproject.toml constraints-cpu.txt | cksum)
# Training children and tests share the cores: threads that spin while they wait would stop each other.
QUIET_CORES := OMP_WAIT_POLICY=PASSIVE TOKENIZERS_PARALLELISM=false
OFFLINE := HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: install ## Start the site and a worker with the demo project; prints one URL and the demo logins
	@$(PYTHON) manage.py seed_demo --migrate --fetch-base-model
	@$(QUIET_CORES) exec $(PYTHON) manage.py up --port $(PORT)

install: ## Make .venv and install everything (TORCH=cuda takes the registry's own torch build)
	@if [ "$$(cat $(VENV)/.installed 2>/dev/null)" = "$(WANTED)" ]; then exit 0; fi; \
	set -e; \
	base=""; \
	if [ ! -x $(PYTHON) ]; then \
		for candidate in "$${BASE_PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do \
			if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				base="$$candidate"; break; \
			fi; \
		done; \
		if [ -z "$$base" ]; then \
			echo "Concord needs Python 3.11 or newer; 'python3' here is $$(python3 --version 2>&1 || echo missing)." >&2; \
			echo "Install one and say where it is: make run BASE_PYTHON=/path/to/python3.12" >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$($$base --version) ..."; \
		rm -rf $(VENV); \
		"$$base" -m venv $(VENV) || { \
			rm -rf $(VENV); \
			echo "Python has no working venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }; \
	fi; \
	before="$$(cut -d ' ' -f 1 $(VENV)/.installed 2>/dev/null || true)"; \
	if [ -n "$$before" ] && [ "$$before" != "$(TORCH)" ]; then \
		echo "Changing torch from the $$before build to the $(TORCH) build ..."; \
		$(PYTHON) -m pip uninstall -q -y torch; \
	fi; \
	rm -f $(VENV)/.installed; \
	pip="$(PYTHON) -m pip install -q --disable-pip-version-check $(CONSTRAINTS)"; \
	stopped() { echo "The installation stopped; pip says above why. The same command goes on from there." >&2; exit 1; }; \
	echo "Installing torch ($(TORCH) build), the largest part ..."; \
	$$pip 'torch>=2.6' || stopped; \
	echo "Installing Concord and everything else; a minute or two ..."; \
	$$pip -e '.[train,postgres,ray,slurm,dev]' || stopped; \
	printf '%s' "$(WANTED)" > $(VENV)/.installed; \
	echo "Installed."

# What tests need from the system. Without root or apt the tests that need it are skipped and say so.
system-packages:
	@missing=""; \
	command -v chromium >/dev/null 2>&1 || missing="chromium"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "Installing what the tests need from the system: $$missing ..."; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq </dev/null && apt-get install -y -qq --no-install-recommends $$missing </dev/null >/dev/null; \
	else \
		echo "Not installed and not installable from here: $$missing. Tests that need it will be skipped."; \
		echo "On Debian: sudo apt-get install $$missing"; \
	fi

test: install system-packages ## Run every test (about 19 minutes on 2 cores)
	@$(OFFLINE) $(QUIET_CORES) OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q $(ARGS)

test-fast: install ## Run the tests that need neither torch nor a browser (a few minutes)
	@$(OFFLINE) $(PYTHON) -m pytest -n 2 --dist worksteal -q -m "not torch and not browser and not slow" $(ARGS)

translations: install ## Bring locale/ in step with the texts of the source, and compile it
	@$(PYTHON) manage.py translations

# A production environment, to see what `check --deploy` says of it. The key is of this one process only.
PRODUCTION_ENV = CONCORD_MODE=production ALLOWED_HOSTS=concord.example CSRF_TRUSTED_ORIGINS=https://concord.example \
	CONCORD_DATA_DIR="$$checked" SECRET_KEY="$$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(50))')"

check: install ## Lint, types, migrations, and the deployment checks
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy feedback training rlhf_site
	@$(PYTHON) manage.py check
	@$(PYTHON) manage.py makemigrations --check --dry-run
	@checked="$$(mktemp -d)"; trap 'rm -rf "$$checked"' EXIT; \
	$(PRODUCTION_ENV) $(PYTHON) manage.py check --deploy --fail-level WARNING

demo: install ## One turn of the loop, headless, with simulated annotators (at most 15 minutes on 2 idle cores)
	@$(QUIET_CORES) $(PYTHON) -m benchmarks.demo $(ARGS)

bench-page: install system-packages ## Measure the annotator's page in a browser (JSON lines; about 3 minutes)
	@$(QUIET_CORES) $(PYTHON) -m benchmarks.label_page $(ARGS)

screenshots: install system-packages ## Take the README's pictures from a running site into docs/images
	@$(PYTHON) -m benchmarks.screenshots --selected docs/images $(ARGS)

bench-queue: install system-packages ## Queues under load: JSON lines for 1, 8 and 32 clients on 10,000 and 1,000,000 comparisons
	@$(PYTHON) -m benchmarks.queue_load $(ARGS)

bench-curation: install system-packages ## Curation at 1,000,000 judgments: statistics, reports, pages, export, import
	@$(QUIET_CORES) OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks.curation $(ARGS)

bench-training: install ## Training runs against plain TRL scripts, PPO against TRL 1.12: JSON lines of ratios (about an hour)
	@$(QUIET_CORES) $(PYTHON) -m benchmarks.training $(ARGS)

bench-overoptimisation: install ## PPO and best-of-n against imperfect reward models on a tiny model: JSON lines, and a picture with ARGS="--svg FILE"
	@$(QUIET_CORES) OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks.overoptimisation $(ARGS)

race: install system-packages ## 50 clients, 2,000 comparisons, two kills of the server: counts what never may happen
	@$(PYTHON) -m benchmarks.race $(ARGS)

clean: ## Remove the environment and caches; your data in var/ stays
	rm -rf $(VENV) concord.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
