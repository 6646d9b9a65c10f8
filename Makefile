# Needs Python 3.10 to 3.13 and make; everything else is installed into .venv by the first target run.
PYTHON ?= python3
# Extra words for pytest: make test ARGS="tests/glue -x"
ARGS ?=
# What make bench computes on: cpu or gpu.
DEVICE ?= cpu

RUN := .venv/bin/python
RUN26 := .venv-paddle26/bin/python
READY := .venv/.ready
READY26 := .venv-paddle26/.ready
READYNLP := .venv-paddlenlp/.ready
READYDOCS := .venv-docs/.ready
# A process a core, four at most, each with one thread; the tests of a file stay together, and slow files do not come last.
TEST = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Twice quiet: errors only.
PIP := -m pip install --quiet --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-machines bench check docs lock

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 16
	@echo 'Another Python: make test PYTHON=python3.12. Words for pytest: make test ARGS="-x tests/glue".'

demo: $(READY)  ## the main job on the embedded sample: train, score, predict, pack, check
	@$(RUN) -m scripts.demo

test: $(READY)  ## the tests (some minutes)
	@$(TEST) $(ARGS)

test-long: $(READY) $(READY26) $(READYNLP)  ## the slow tests, real data (GLUE_DATA_DIR=folder), Paddle 2.6.2, PaddleNLP
	@PADDLENLP_PYTHON="$${PADDLENLP_PYTHON:-$(CURDIR)/.venv-paddlenlp/bin/python}" \
	  $(RUN) -m pytest -m "long or real_data" $(ARGS)
	@$(RUN26) -m pytest $(ARGS)

test-machines: $(READY)  ## the tests as on other processors, with a table (ARGS="--help" tells combinations and flags)
	@$(RUN) -m bench.machines $(ARGS)

bench: $(READY)  ## speed beside PaddleNLP and transformers (DEVICE=gpu; ARGS="--help" tells cases and flags)
	@$(RUN) -m bench.run --device $(DEVICE) $(ARGS)

check: $(READY)  ## ruff, mypy, import contracts, tests
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports --no-logo
	@$(TEST) $(ARGS)

docs: $(READYDOCS)  ## the documentation as a site in build/site; broken links are errors
	@.venv-docs/bin/python docs/command_reference.py > docs/commands.md
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo build/site/index.html

# `$(call is_python,COMMAND,OLDEST,NEWEST)`: does it start, and is its version within?
is_python = $(1) -c 'import sys; sys.exit(not ($(2)) <= sys.version_info[:2] <= ($(3)))' 2>/dev/null

$(READY): pyproject.toml constraints.txt
	@$(call is_python,$(PYTHON),(3, 10),(3, 13)) || { \
	  echo 'error: $(PYTHON) is not Python 3.10 to 3.13 (it says: '"$$($(PYTHON) --version 2>&1)"'):' \
	    'name one, as in: make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@echo 'Installing into .venv (about 1.3 GB; a few minutes the first time)' >&2
	@test -x $(RUN) || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@$(RUN) $(PIP) -c constraints.txt -e '.[cpu,plots,serve,test]'
	@touch $@

# Paddle 2.6.2 stops at Python 3.12: PYTHON26, or the first of these that fits.
$(READY26): pyproject.toml constraints-paddle26.txt
	@for python in $(PYTHON26) $(PYTHON) python3.12 python3.11 python3.10; do \
	  if $(call is_python,$$python,(3, 10),(3, 12)); then found=$$python; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo 'error: no Python 3.10 to 3.12 found for Paddle 2.6.2: name one, as in: make test-long PYTHON26=python3.11' >&2; \
	  exit 1; fi; \
	echo "Installing Paddle 2.6.2 into .venv-paddle26 with $$found" >&2; \
	test -x $(RUN26) || $$found -m venv .venv-paddle26 || { rm -rf .venv-paddle26; exit 1; }
	@$(RUN26) $(PIP) -c constraints-paddle26.txt 'paddlepaddle==2.6.2' -e '.[test,visualdl]'
	@touch $@

# PaddleNLP's pins exclude ours; only the tests that compare with it use this environment.
$(READYNLP): pyproject.toml
	@for python in $(PYTHON26) $(PYTHON) python3.12 python3.11 python3.10; do \
	  if $(call is_python,$$python,(3, 10),(3, 12)); then found=$$python; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo 'error: no Python 3.10 to 3.12 found for PaddleNLP: name one, as in: make test-long PYTHON26=python3.11' >&2; \
	  exit 1; fi; \
	echo "Installing PaddleNLP into .venv-paddlenlp with $$found" >&2; \
	test -x .venv-paddlenlp/bin/python || $$found -m venv .venv-paddlenlp || { rm -rf .venv-paddlenlp; exit 1; }
	@.venv-paddlenlp/bin/python $(PIP) -e '.[paddlenlp]'
	@touch $@

$(READYDOCS): pyproject.toml
	@echo 'Installing what makes the site into .venv-docs' >&2
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs || { rm -rf .venv-docs; exit 1; }
	@.venv-docs/bin/python $(PIP) -c constraints.txt -e '.[docs]'
	@touch $@

# One set of versions for all Pythons and systems, by markers. Needs uv.
LOCK := uv pip compile --universal --python-version 3.10 --upgrade --quiet --no-header --no-annotate pyproject.toml
lock:  ## renew the versions in constraints*.txt (needs uv)
	$(LOCK) --extra cpu --extra test --extra visualdl --extra plots --extra onnx --extra serve --extra cluster -o constraints.txt
	printf 'paddlepaddle==2.6.2\nnumpy==1.26.4\n' | $(LOCK) - --extra test --extra visualdl -o constraints-paddle26.txt
	sed -i 's/^paddlepaddle==2.6.2$$/&\npaddlepaddle-gpu==2.6.2/' constraints-paddle26.txt
