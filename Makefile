# Run make help for a list of targets.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
PY := .venv/bin/python
INSTALL := @$(PYTHON) scripts/setup_env.py
COMPILE := UV_CACHE_DIR=.cache/uv .venv/bin/uv pip compile --quiet --generate-hashes --no-annotate --no-header \
  --python-version 3.11 --python-platform x86_64-manylinux_2_40

.DEFAULT_GOAL := help
.PHONY: help run test test-slow flink-test flink-cluster flink-workers serve lineage bench bench-tflite bench-serving bench-training bench-lineage bench-wide bench-runs bench-tables bench-quality schema lint format lock image-locks docs-images doctor clean

help:  ## list all targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run:  ## run the taxi pipeline, or another one (options: CONFIG=configs/rodents.yaml ARGS="--no-tune")
	$(INSTALL)
	@$(PY) local_runner.py $(if $(CONFIG),--config "$(CONFIG)") $(ARGS)

test:  ## run the tests (options: ARGS="-k config")
	$(INSTALL)
	@$(PY) -m pytest -m "not slow and not flink" $(ARGS)

test-slow:  ## run the slow tests, which make test skips
	$(INSTALL)
	@$(PY) -m pytest -m slow $(ARGS)

flink-test:  ## test the Beam steps on a local Flink cluster (needs Java 17 and Maven)
	$(INSTALL)
	@$(PY) -m pytest -n 0 -m flink tests/pipeline/beam/flink/test_flink_cluster.py $(ARGS)

flink-cluster:  ## start a local Flink cluster (options: ARGS="--port 8081 --slots 2"; needs Java 17 and Maven)
	$(INSTALL)
	@$(PY) -m pipeline.beam.flink.cluster $(ARGS)

flink-workers:  ## start Beam's Python workers for a local task manager (options: ARGS="--listen 127.0.0.1:50000")
	$(INSTALL)
	@$(PY) -m pipeline.beam.flink.worker_pool $(ARGS)

serve:  ## serve the pushed models (MODEL=taxi BASE=folder PORT=8500 REST_PORT=8501)
	$(INSTALL)
	@MODEL="$(MODEL)" BASE="$(BASE)" PORT="$(PORT)" REST_PORT="$(REST_PORT)" scripts/serve.sh

lineage:  ## list runs, or ask where a model came from (ARGS="trace 1795339345", ARGS=--help)
	$(INSTALL)
	@$(PY) -m lineage $(or $(ARGS),runs)

bench: bench-tflite bench-serving bench-training bench-lineage bench-wide bench-runs  ## run all benchmarks

bench-tflite:  ## compare the TFLite model with the SavedModel of the last run in output/taxi
	$(INSTALL)
	@test -e output/taxi/runs/latest || $(PY) local_runner.py
	@$(PY) -m benchmarks.tflite

bench-serving:  ## compare the embedded server with in-process calls and other servers, and measure its waits
	$(INSTALL)
	@test -e output/taxi/runs/latest || $(PY) local_runner.py
	@$(PY) -m benchmarks.serving

bench-training:  ## compare training with TFX's taxi template, and two workers with one
	$(INSTALL)
	@test -e output/taxi/runs/latest || $(PY) local_runner.py
	@$(PY) -m benchmarks.training

bench-lineage:  ## time lineage queries on stores with 1,000 and 10,000 executions
	$(INSTALL)
	@$(PY) -m benchmarks.lineage $(ARGS)

bench-wide:  ## measure each step on tables of 100, 500 and 1,500 columns (options: ARGS="--columns 100,500 --rows 20000")
	$(INSTALL)
	@$(PY) -m benchmarks.wide $(ARGS)

bench-runs:  ## compare complete runs with TFX's taxi template, 30 minutes (options: ARGS="--copies 1,10")
	$(INSTALL)
	@$(PY) -m benchmarks.runs $(ARGS)

bench-tables:  ## draft settings for public tables and run them, an hour (options: ARGS="--only iris ames")
	$(INSTALL)
	@$(PY) -m benchmarks.tables $(ARGS)

bench-quality:  ## compare drafted models with boosted trees on public tables, hours (options: ARGS="--only iris ames")
	$(INSTALL)
	@$(PY) -m benchmarks.quality $(ARGS)

schema:  ## draft a schema (DATA=my/folder OUT=schema/mine/schema.pbtxt PATTERN='*.parquet' MISSING='NA ?')
	$(INSTALL)
	@$(PY) -m pipeline.drafting.schema_command --data "$(DATA)" --out "$(OUT)" $(if $(PATTERN),--pattern '$(PATTERN)') \
	    $(foreach value,$(MISSING),--missing-value '$(value)')

lint:  ## check style, types, import layers, shell scripts and container files
	$(INSTALL)
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@$(PY) -m mypy .
	@.venv/bin/lint-imports
	@.venv/bin/shellcheck $$(git ls-files '*.sh' .ci/run)
	@.venv/bin/hadolint --failure-threshold=style $$(git ls-files '*Dockerfile')

format:  ## format the code and apply automatic fixes
	$(INSTALL)
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

lock:  ## upgrade all dependencies and pin them with hashes in every lock file
	$(INSTALL)
	@$(COMPILE) pyproject.toml --group dev --group setup --upgrade -o requirements.lock
	@echo ziglang | $(COMPILE) - --upgrade -o scripts/compiler.lock
	@$(COMPILE) benchmarks/serving/requirements.in --upgrade -o benchmarks/serving/requirements.lock
	@$(COMPILE) benchmarks/quality/requirements.in --no-deps --upgrade -o benchmarks/quality/requirements.lock
	@$(MAKE) --no-print-directory image-locks

image-locks:  ## pin the packages of the images in deploy/ to the versions in requirements.lock
	$(INSTALL)
	@$(COMPILE) pyproject.toml -c requirements.lock -o deploy/vertex/requirements.lock
	@$(COMPILE) pyproject.toml --extra gpu -c requirements.lock -o deploy/vertex/requirements-gpu.lock
	@$(COMPILE) deploy/beam/requirements.in --override deploy/beam/excluded.txt -c requirements.lock \
	  -o deploy/beam/requirements.lock

doctor:  ## check this machine and the environment
	@$(PYTHON) scripts/doctor.py

docs-images:  ## run the example and make the README's pictures from it (needs Chromium or apt-get)
	$(INSTALL)
	@PYTHONPATH=.:scripts:tests/support $(PY) scripts/docs_images.py $(ARGS)

clean:  ## remove the environment, its downloads and all runs
	rm -rf .venv .cache output
