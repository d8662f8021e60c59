# One command each; every target makes what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Many processes import the same packages: each is compiled once, whatever the machine is set to.
export PYTHONDONTWRITEBYTECODE :=
# $(call install,what,where). uv takes a sixth of pip's time; pip does it where uv cannot, as with an index
# that only pip was told of.
PIP = $(1)/bin/python -m pip install --quiet --disable-pip-version-check
install = $(call PIP,$(2)) uv && $(2)/bin/uv pip install --quiet --python $(2)/bin/python $(1) || $(call PIP,$(2)) $(1)

.PHONY: demo test bench campaign lint clean

demo: $(VENV)/.installed-all      ## play the main job on a knowledge base that comes along
	$(BIN)/wherry demo

# Many tests wait for a server or a process: three at once keep two cores busy.
test: $(VENV)/.installed-test lint ## all tests that belong to a commit
	$(BIN)/python -m pytest -n 3 --dist loadfile --randomly-seed=1

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
	$(call install,-r bench/peers.txt,.venv-bench)
	touch $@

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("wherry needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-all: pyproject.toml | $(VENV)/bin/python
	$(call install,-e ".[all]",$(VENV))
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(call install,-e ".[test]",$(VENV))
	touch $@
