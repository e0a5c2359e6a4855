# Every target sets the project up first, into .venv; there is nothing to install or activate by hand.
# Pass arguments on with ARGS, as in: make test ARGS="-k store"
.PHONY: help setup demo test test-slow test-airflow bench bench-scale bench-s3 bench-rotation bench-redact bench-icechunk bench-concurrency lock format reference clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1	\2/p' Makefile | expand -t 18

setup: ## make .venv, or bring it up to date
	@scripts/setup

demo: setup ## watch the whole of bondstone at work on this machine
	@.venv/bin/bondstone demo $(ARGS)

test: setup ## format, lint, types, imports, tests, doc examples: what CI runs
	@scripts/check $(ARGS)

test-slow: setup ## the tests that take minutes
	@scripts/setup-airflow
	@.venv/bin/pytest -m slow $(ARGS)

test-airflow: setup ## a DAG under a real Airflow, which is installed into .venv/airflow
	@scripts/setup-airflow
	@.venv/bin/pytest -m slow tests/integrations/test_airflow.py $(ARGS)

bench: setup ## measure what users feel
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python benchmarks/load.py $(ARGS)

bench-scale: setup ## measure many blocks, eight processes, PostgreSQL, root-key rotation and Prefect's own
	@env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m benchmarks.scale $(ARGS)

bench-s3: setup ## measure uploads beside boto3, obstore, opendal, s5cmd and prefect-aws
	@.venv/bin/python -m benchmarks.s3 $(ARGS)

bench-rotation: setup ## rotate credentials under flows that run, and count what fails
	@.venv/bin/python -m benchmarks.rotation $(ARGS)

bench-redact: setup ## measure what masking costs in a line of a log
	@.venv/bin/python -m benchmarks.redact $(ARGS)
bench-icechunk: setup ## measure commits by name beside icechunk by hand
	@.venv/bin/python -m benchmarks.icechunk $(ARGS)

bench-concurrency: setup ## measure how many chunks at once suit a local folder and a distant S3 server
	@.venv/bin/python -m benchmarks.concurrency $(ARGS)

# Pins and hashes only: no addresses, so that each machine fetches from where it is told to.
LOCK = .venv/bin/uv pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"
lock: setup ## write the lock files anew; with ARGS=--upgrade at the newest versions
	@$(LOCK) $(ARGS) --all-extras --group dev --output-file requirements.lock pyproject.toml
	@$(LOCK) $(ARGS) --output-file requirements-ministack.lock requirements-ministack.in
	@$(LOCK) $(ARGS) --extra aws --output-file requirements-airflow.lock requirements-airflow.in pyproject.toml
	@scripts/setup

format: setup ## put the code into its standard form
	@.venv/bin/ruff format
	@.venv/bin/ruff check --fix

reference: setup ## write docs/reference anew, from the source
	@.venv/bin/python -m bondstone.cli.reference

clean: ## remove .venv and all that the tools leave behind
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* build dist docs/_build
