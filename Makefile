# One command each; every target makes what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Many processes import the same packages: each is compiled once, whatever the machine is set to.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test bench campaign lint clean

demo: $(VENV)/.installed-all      ## play the main job on a knowledge base that comes along
	$(BIN)/wherry demo

test: $(VENV)/.installed-test lint ## all tests that belong to a commit
	$(BIN)/python -m pytest -n 2 --dist loadfile --randomly-seed=1

lint: $(VENV)/.installed-test
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench

bench: $(VENV)/.installed-test .venv-bench/.installed    ## the performance bars, as ratios within one run
	$(BIN)/python -m bench

campaign: $(VENV)/.installed-test ## the slow proofs: random kills, fuzzing, scale
	WHERRY_HYPOTHESIS=campaign $(BIN)/python -m pytest -m campaign -p no:randomly --timeout 3000

clean:
	rm -rf $(VENV) .venv-bench .wherry

# The peers of indexing: their packages stay out of ours.
.venv-bench/.installed: bench/peers.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers.txt
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("wherry needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-all: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[all]"
	touch $@

# Half of the modules are never imported: those that are get compiled then.
$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".[test]"
	touch $@
