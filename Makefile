# make demo   install as a user would, scan examples/, write an HTML report
# make test   development environment, then lint, type check and tests
PYTHON ?= python3
DEV := .venv
DEMO := .venv-demo
REPORT := report

.PHONY: demo test lint types unit bench docs docs-tables clean

demo:
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	rm -rf dist && $(DEMO)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(DEMO)/bin/python -m pip install --quiet --force-reinstall --no-deps dist/vestige-*.whl
	$(DEMO)/bin/python -m pip install --quiet dist/vestige-*.whl
	$(DEMO)/bin/vestige scan examples --html $(REPORT)
	@echo
	@echo "Open $(REPORT)/index.html in a browser. Your own pictures: $(DEMO)/bin/vestige scan PATH --html $(REPORT)"

# The stamp is renewed when the requirements change.
$(DEV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(DEV)/bin/python -m pip install --quiet -c constraints.txt -e '.[train,heif,serve,bulk,docs,dev]'
	touch $@

test: lint types unit

lint: $(DEV)/.installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .

types: $(DEV)/.installed
	$(DEV)/bin/mypy

# A file's tests in one process, as they share what is made once; threads of two processes would be in each
# other's way.
unit: $(DEV)/.installed
	OMP_NUM_THREADS=1 $(DEV)/bin/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

# Speed of the field kit on this computer.
bench: $(DEV)/.installed
	$(DEV)/bin/python benchmarks/speed.py

# The documentation site, in site/; its pages load nothing from elsewhere.
docs: $(DEV)/.installed
	NO_MKDOCS_2_WARNING=1 $(DEV)/bin/python -m mkdocs build
	@echo "Open site/index.html; for search: $(DEV)/bin/python -m http.server --directory site"

# Generated pages again: the tables in docs/results from the scores kept beside them, and lists in docs.
docs-tables: $(DEV)/.installed
	$(DEV)/bin/python -m vestige.evaluation.docs docs
	for file in docs/results/*/bench.json; do $(DEV)/bin/vestige bench --out $$(dirname $$file) || exit 1; done
	for file in docs/results/*/ablation.json; do $(DEV)/bin/vestige ablate --out $$(dirname $$file) || exit 1; done
	for file in $(wildcard docs/results/*/choosing.json); do \
		$(DEV)/bin/vestige choose --out $$(dirname $$file) || exit 1; done
	for file in $(wildcard docs/results/*/deviations.json); do \
		$(DEV)/bin/vestige deviations --out $$(dirname $$file) || exit 1; done

clean:
	rm -rf $(DEV) $(DEMO) $(REPORT) dist build site
