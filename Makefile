# make help lists the targets.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3.11)
PY := .venv/bin/python
INSTALL := @$(PYTHON) scripts/setup_env.py
COMPILE := UV_CACHE_DIR=.cache/uv .venv/bin/uv pip compile --quiet --generate-hashes --no-annotate --no-header \
  --python-version 3.11 --python-platform x86_64-manylinux_2_40

.DEFAULT_GOAL := help
.PHONY: help run test test-slow flink-test flink-cluster flink-workers serve lineage bench bench-tflite bench-serving bench-training bench-lineage bench-runs schema lint format lock image-locks doctor clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run:  ## run the taxi pipeline into output/taxi (ARGS="--no-tune" passes options on)
	$(INSTALL)
	@$(PY) local_runner.py $(ARGS)

test:  ## run the tests (ARGS="-k config" passes options on)
	$(INSTALL)
	@$(PY) -m pytest -m "not slow and not flink" $(ARGS)

test-slow:  ## run the tests that make test leaves out for their time
	$(INSTALL)
	@$(PY) -m pytest -m slow $(ARGS)

flink-test:  ## run the steps on a Flink cluster of this machine's own and compare (needs Java 17 and Maven)
	$(INSTALL)
	@$(PY) -m pytest -n 0 -m flink tests/pipeline/beam/flink/test_flink_cluster.py $(ARGS)

flink-cluster:  ## run a Flink cluster on this machine (ARGS="--port 8081 --slots 2"; needs Java 17 and Maven)
	$(INSTALL)
	@$(PY) -m pipeline.beam.flink.cluster $(ARGS)

flink-workers:  ## offer Beam's Python workers to the task manager on this machine (ARGS="--listen 127.0.0.1:50000")
	$(INSTALL)
	@$(PY) -m pipeline.beam.flink.worker_pool $(ARGS)

serve:  ## serve what was pushed (MODEL=taxi BASE=folder PORT=8500 REST_PORT=8501)
	$(INSTALL)
	@MODEL="$(MODEL)" BASE="$(BASE)" PORT="$(PORT)" REST_PORT="$(REST_PORT)" scripts/serve.sh

lineage:  ## ask ML Metadata where a model came from (ARGS="trace 1795339345", ARGS=--help)
	$(INSTALL)
	@$(PY) -m lineage $(or $(ARGS),runs)

bench: bench-tflite bench-serving bench-training bench-lineage bench-runs  ## run all benchmarks

bench-tflite:  ## the TFLite model beside the SavedModel, on output/taxi's last run: speed and size
	$(INSTALL)
	@test -e output/taxi/runs/latest || $(PY) local_runner.py
	@$(PY) -m benchmarks.tflite

bench-serving:  ## the embedded server beside the model in process and a FastAPI app, on output/taxi's last run
	$(INSTALL)
	@test -e output/taxi/runs/latest || $(PY) local_runner.py
	@$(PY) -m benchmarks.serving

bench-training:  ## training beside TFX's taxi template, and two workers beside one, on output/taxi's last run
	$(INSTALL)
	@test -e output/taxi/runs/latest || $(PY) local_runner.py
	@$(PY) -m benchmarks.training

bench-lineage:  ## lineage's queries over a store of 10,000 executions, and over one of a tenth
	$(INSTALL)
	@$(PY) -m benchmarks.lineage $(ARGS)

bench-runs:  ## whole runs beside TFX's taxi template, ingest alone, start-up: half an hour (ARGS="--copies 1,10")
	$(INSTALL)
	@$(PY) -m benchmarks.runs $(ARGS)

schema:  ## draft a schema: make schema DATA=my/folder OUT=schema/mine/schema.pbtxt (PATTERN='*.parquet')
	$(INSTALL)
	@PYTHONPATH=. $(PY) -W ignore scripts/draft_schema.py --data "$(DATA)" --out "$(OUT)" $(if $(PATTERN),--pattern '$(PATTERN)')

lint:  ## check style, types and the direction of imports
	$(INSTALL)
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@$(PY) -m mypy .
	@.venv/bin/lint-imports
	@.venv/bin/shellcheck $$(git ls-files '*.sh' .ci/run)
	@.venv/bin/hadolint --failure-threshold=style $$(git ls-files '*Dockerfile')

format:  ## rewrite the code in the project's style
	$(INSTALL)
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

lock:  ## choose newer versions and pin them, with hashes, in requirements.lock and the images' locks
	$(INSTALL)
	@$(COMPILE) pyproject.toml --group dev --group setup --upgrade -o requirements.lock
	@echo ziglang | $(COMPILE) - --upgrade -o scripts/compiler.lock
	@$(MAKE) --no-print-directory image-locks

image-locks:  ## pin what goes into the images of deploy/, in the versions of requirements.lock
	$(INSTALL)
	@$(COMPILE) pyproject.toml -c requirements.lock -o deploy/vertex/requirements.lock
	@$(COMPILE) pyproject.toml --extra gpu -c requirements.lock -o deploy/vertex/requirements-gpu.lock
	@$(COMPILE) deploy/beam/requirements.in --override deploy/beam/left-out.txt -c requirements.lock \
	  -o deploy/beam/requirements.lock

doctor:  ## say what is fine on this machine and what is not
	@$(PYTHON) scripts/doctor.py

clean:  ## remove the environment, its downloads and all runs
	rm -rf .venv .cache output
