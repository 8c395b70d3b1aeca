# `make book`, `make test` and `make grade` do everything on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Tests start hundreds of processes: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help book test grade lessons lint clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: $(STAMP) ## build the book into _build/html
	$(BIN)/lossbook book

test: $(STAMP) ## run every test: those that measure time come last, alone
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not wall_clock"; first=$$?; \
	  $(BIN)/python -m pytest -m wall_clock && exit $$first

grade: $(STAMP) ## grade the made-up class in examples/class into _build/grades
	$(BIN)/lossbook grade examples/class --out _build/grades --open

lessons: $(STAMP) ## make the notebooks from solutions/*.md
	$(BIN)/lossbook release

lint: $(STAMP) ## check style, types and imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

clean: ## remove what was made, the virtual environment included
	rm -rf $(VENV) _build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older or missing. Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[book,author,grade,test]'
	@touch $@
