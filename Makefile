# gpuinit: everything a newcomer runs. `make demo` and `make test` set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FRAMEWORKS := .venv-frameworks
QUESTION := *
BENCH := -o addopts= -o filterwarnings= --benchmark-only --benchmark-disable-gc --benchmark-columns=median,iqr,rounds
DOCS := .venv-docs
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup setup-bench setup-frameworks setup-docs demo test test-frameworks test-thorough test-cluster lint format bench bench-quick bench-files bench-models bench-report scale pictures docs docs-serve accuracy sass clean

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 18

setup: $(VENV)/.installed       ## the virtual environment with gpuinit, editable, the test tools and the CUDA packages

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test,proof]'
	@touch $@

setup-frameworks: $(FRAMEWORKS)/.installed      ## an environment of its own with PyTorch, JAX, Keras, TensorFlow (CPU builds), transformers and Flax

$(FRAMEWORKS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet --editable '.[test,frameworks]'
	@touch $@

setup-bench: $(FRAMEWORKS)/.bench               ## the same with mkl_random, for the benchmarks

$(FRAMEWORKS)/.bench: $(FRAMEWORKS)/.installed
	$(FRAMEWORKS)/bin/python -m pip install --quiet --editable '.[test,frameworks,bench]'
	@touch $@

setup-docs: $(DOCS)/.installed     ## an environment of its own with MkDocs

$(DOCS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --editable '.[docs]'
	@touch $@

demo: setup      ## make the 26 embedding tables of MLPerf's DLRM-DCNv2 (200,000 rows at most) in out/demo
	$(BIN)/gpuinit create --tables examples/dlrm_dcnv2_criteo.csv --max-rows 200000 --init variance_scaling \
	    --arg scale=0.3333333333333333 --arg mode=fan_in --arg distribution=uniform --out out/demo --force

test: setup      ## the tests, in under 10 minutes on 2 cores
	$(BIN)/python -m pytest -q -m "not gpu and not thorough and not cluster and not frameworks" -n auto --dist loadfile

test-frameworks: setup-frameworks               ## the tests in PyTorch, JAX, and Keras on each of its backends
	$(FRAMEWORKS)/bin/python -m pytest -q -m frameworks tests/frameworks --ignore-glob='*_keras_*' -n auto --dist loadfile
	for backend in torch jax tensorflow numpy; do \
	    KERAS_BACKEND=$$backend $(FRAMEWORKS)/bin/python -m pytest -q -m frameworks tests/frameworks/test_keras_*.py \
	        -n auto --dist loadfile || exit 1; done

test-thorough: setup            ## the long proofs: a 12 GiB table, killed and resumed
	$(BIN)/python -m pytest -q -m thorough

test-cluster: setup             ## Dask's workers write 4 GiB of Zarr, and one is killed on the way
	$(BIN)/python -m pytest -q -m cluster

lint: setup      ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup    ## let ruff format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-bench              ## benchmarks beside PyTorch, NumPy, JAX, Keras, mkl_random; one alone: make bench QUESTION=fill (calls, sweep, tables, blocks, orthogonal)
	KERAS_BACKEND=torch $(FRAMEWORKS)/bin/python -m pytest -q benchmarks -o python_files='bench_$(QUESTION).py' $(BENCH)

bench-quick: setup              ## the same at tiny sizes, which shows only that they run
	GPUINIT_BENCH=--quick $(BIN)/python -m pytest -q benchmarks -o python_files='bench_*.py' $(BENCH)

bench-models: setup-bench       ## models of transformers built inside accelerate, beside plain PyTorch; writes benchmarks/results/models.json
	$(FRAMEWORKS)/bin/python -m benchmarks.models

bench-report: setup             ## README's table and picture, and docs/benchmarks.md, from benchmarks/results/*.json
	$(BIN)/python -m benchmarks.report

bench-files: setup              ## 12 GiB written in each format beside a plain write of the same bytes; writes benchmarks/results/files.json
	$(BIN)/python -m benchmarks.files

scale: setup     ## a model of large jobs beside the real writer on this machine; rewrites the tables of docs/scale.md
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.scale_tables

pictures: setup  ## the pictures of docs/choosing.md, anew
	$(BIN)/gpuinit show --gallery docs/pictures --force

docs: setup-docs                ## the documentation as a site, in site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

docs-serve: setup-docs          ## the same at http://127.0.0.1:8000, built anew when a page changes
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs serve

accuracy: setup  ## the float32 quantile at all 2^32 words
	$(BIN)/python benchmarks/accuracy.py

sass: setup      ## the CUDA kernels' instructions per 16 bytes, no GPU needed; writes benchmarks/results/sass.json and .md
	$(BIN)/python -m benchmarks.sass

clean:           ## remove what the targets made
	rm -rf $(VENV) $(FRAMEWORKS) $(DOCS) site out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
