# Every command of this project; `make` alone lists them.
#
# PYTHON=python3.12   make .venv from that Python (3.10 to 3.13)
# ARGS="-k name"      passed on to what the target runs
# TESTS=tests/test_x.py   run these instead of every test
# VENV=, CONSTRAINTS=     another environment; versions for pip to keep to

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?=
ARGS ?=
TESTS ?= tests $(wildcard README.ipynb)

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

IN_VENV = "$(VENV)/bin/python"

NO_PYTHON = { echo "$(PYTHON) does not run; name a Python (3.10 to 3.13), \
	as in: make test PYTHON=python3.12" >&2; exit 1; }

# $(call with,EXTRA): the environment is there, and holds this package with that
# extra. Standard input and output are left to what comes after.
define with
@command -v "$(PYTHON)" >/dev/null || $(NO_PYTHON)
@"$(PYTHON)" tools/make_venv.py "$(VENV)" --extra "$1" --constraints "$(CONSTRAINTS)" \
	$(if $(findstring file,$(origin PYTHON)),,--this-python) </dev/null \
	|| case $$? in 126 | 127) $(NO_PYTHON) ;; *) exit 1 ;; esac
endef

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: ## Open IPython with Twisted awaitable; or run standard input as one cell
	$(call with)
	@exec $(IN_VENV) tools/run.py $(ARGS)

.PHONY: lab
lab: ## Open JupyterLab on README.ipynb
	$(call with,lab)
	@exec $(IN_VENV) -m jupyterlab README.ipynb $(ARGS)

.PHONY: test
test: ## Run every test: pytest, and README.ipynb under nbval
	$(call with,test)
	$(IN_VENV) -m pytest --nbval --nbval-current-env \
		--numprocesses 3 --dist loadfile $(TESTS) $(ARGS)

.PHONY: test-all
test-all: ## Run every test on each Python found, and with the oldest dependencies
	@"$(PYTHON)" tools/test_all.py

.PHONY: lint
lint: ## Check style and types
	$(call with,dev)
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy

.PHONY: docs
docs: ## Make README.md from README.ipynb
	$(call with,test)
	@$(IN_VENV) tools/readme.py

.PHONY: readme
readme: ## Run README.ipynb, keep its outputs in it, and make README.md
	$(call with,test)
	@$(IN_VENV) tools/readme.py --execute

.PHONY: bench
bench: ## Print the table of benchmarks
	$(call with,test)
	@$(IN_VENV) -m benchmarks $(ARGS)

.PHONY: package
package: ## Build the source distribution and the wheel into dist/
	$(call with,dev)
	$(IN_VENV) -m build

.PHONY: clean
clean: ## Remove all that the other targets made
	rm -rf .venv .venv-3.* build dist *.egg-info benchmarks/.upstream benchmarks/.others
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
