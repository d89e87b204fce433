# `make demo` shows the whole way on sample files, `make test` checks everything; both begin in a fresh clone.

PYTHON := $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
INSTALLED_SPARK := .venv-spark/.installed
# What sqlfluff's dbt templater reads, in two halves that take about as long.
HALF := models/intermediate
REST := $(filter-out $(HALF),$(patsubst %/,%,$(wildcard models/*/))) tests/dbt analyses

# sqlfluff's templater and dbt read the profile; neither must touch the user's warehouse. Two at a time have two folders.
ASIDE := LOADERS_WAREHOUSE=target/aside.duckdb
ASIDE_TOO := LOADERS_WAREHOUSE=target/half/aside.duckdb DBT_TARGET_PATH=target/half

export PATH := $(CURDIR)/$(BIN):$(PATH)

# What needs one core for a while goes two at a time; what each printed stays together.
TOGETHER := $(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: demo test engines clean lint-types lint-arrows lint-half lint-rest lint-expectations lint-project

demo: $(INSTALLED)
	loaders demo

test: $(INSTALLED)
	@mkdir -p target
	ruff check
	ruff format --check
	@$(TOGETHER) lint-types lint-project lint-half lint-rest lint-arrows lint-expectations
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		echo 'left out: the tests of the page in a browser (install chromium and chromium-driver to have them)'
	@command -v java >/dev/null || echo 'left out: the models on Spark, make engines (install a Java runtime, 17 or later)'
	pytest

lint-types: $(INSTALLED)
	mypy

lint-arrows: $(INSTALLED)
	lint-imports

lint-project: $(INSTALLED)
	@mkdir -p target
	$(ASIDE) dbt parse --warn-error --no-partial-parse

# After the strict parse, which uses the same folder.
lint-rest: lint-project
	$(ASIDE) sqlfluff lint --processes 1 $(REST)

lint-half: $(INSTALLED)
	@mkdir -p target/half
	$(ASIDE_TOO) sqlfluff lint --processes 1 $(HALF)

lint-expectations: $(INSTALLED)
	sqlfluff lint --templater placeholder loaders/validation/sql

# The same models on Spark, in an environment of its own: PySpark is half a gigabyte, and Great Expectations imports it
# where it finds it, which ends the parallel workers of pytest.
engines: $(INSTALLED_SPARK)
	.venv-spark/bin/pytest -n 0 tests/engines

clean:
	rm -rf .venv .venv-spark target

$(INSTALLED_SPARK): constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv-spark
	.venv-spark/bin/python -m pip install --quiet -c constraints.txt -e '.[dev,serve,spark]'
	touch $@

$(INSTALLED): constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,serve]'
	touch $@
