# The commands of this project. `make help` lists them; `make test ARGS="-k plan"` passes arguments on.

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
ARGS ?=
SCRIPTS := .ci/run envs/create-venv envs/install-debian envs/image/provision envs/image/root/usr/local/lib/lsstpipe/* \
	lsstpipe/cluster/programs/resume lsstpipe/cluster/programs/suspend \
	terraform/check terraform/lint terraform/destroy-data terraform/boot/* terraform/modules/cleanup/end_nodes
# Absent files are not an error: a part of the project can be checked before the whole is there.
SNAKEFILES := $(wildcard Snakefile workflow/rules/*.smk)

# The rules of the workflow call `lsstpipe` by name.
export PATH := $(BIN):$(PATH)
# The workflow and pytest run processes side by side, so each process has one thread.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export NUMBA_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster demo-site deploy destroy test test-faults test-terraform ci-hsc lint bench bench-registry format lock venv clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: venv ## process a night of real frames (data/tres1) into runs/demo, with its report
	@snakemake --cores 2 --configfile config/campaigns/demo.yaml $(ARGS)
	@lsstpipe report --summary runs/demo

demo-cluster: venv ## the same night on an elastic Slurm cluster on this host, from no node to none (root; 8 min)
	@envs/install-debian test
	@python -m tests.cluster.demo

demo-site: venv ## from a plan of Terraform to products in its bucket and a registry on PostgreSQL, on this host (root; 7 min)
	@envs/install-debian test
	@python -m tests.site.demo

deploy: venv ## make or change a site on AWS: bootstrap, data, cluster; SITE is a folder of settings, ARGS=--yes asks nothing
	@lsstpipe site up $(SITE) $(ARGS)

destroy: venv ## end the cluster of SITE, nodes first; its data stay
	@lsstpipe site down $(SITE) $(ARGS)

test: venv ## run all tests and measure their coverage; with ARGS, run those and measure none
	@envs/install-debian test
	@pytest -n 2 --dist loadgroup $(if $(ARGS),$(ARGS),--cov --cov-report=term)

test-faults: venv ## let everything go wrong at once on a real Slurm on this host, and see all of it mended (root; 5 min)
	@envs/install-debian test
	@LSSTPIPE_FAULTS=1 pytest tests/cluster/test_faults.py $(ARGS)

test-terraform: ## check the Terraform code alone: format, validity, tests of each module, linters; ARGS names folders
	@$(if $(ARGS),:,terraform/lint get) & terraform/check $(ARGS); code=$$?; wait; exit $$code
	@$(if $(ARGS),:,terraform/lint) || test $$? -eq 77 # what cannot be had here was left out by name

ci-hsc: venv ## simulate 33 raws of HSC, process them and hold the products to what was expected (19 min)
	@mkdir -p runs
	@LSSTPIPE_SURVEY=ci_hsc pytest tests/e2e/test_survey.py --basetemp runs/ci-hsc $(ARGS)
	@lsstpipe status --repo runs/ci-hsc/survey/repo --resources
	@cat runs/ci-hsc/survey/took.txt

lint: venv ## check style, types, layers, workflow and scripts
	@envs/install-debian lint
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-cache
	$(if $(SNAKEFILES),snakefmt --check $(SNAKEFILES))
	$(if $(wildcard Snakefile),snakemake --lint)
	@if command -v shellcheck >/dev/null; then echo shellcheck $(SCRIPTS); shellcheck $(SCRIPTS); fi

bench: venv ## run the benchmarks: each prints a table and writes JSON into runs/bench
	@envs/install-debian bench
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; python "$$script" $(ARGS) || exit; done

bench-registry: venv ## registry, plan and replayed tract beside lsst-daf-butler (into runs/peer once); ARGS to registry.py
	@envs/install-debian test
	@failed=; for script in "registry.py $(ARGS)" bench_plan.py replay_tract.py; do \
		echo "== benchmarks/$$script"; python benchmarks/$$script || failed="$$failed $${script%% *}"; done; \
	if [ -n "$$failed" ]; then echo "Failed:$$failed" >&2; exit 1; fi

format: venv ## format all code and apply the safe fixes of ruff
	ruff format .
	ruff check --fix .
	$(if $(SNAKEFILES),snakefmt $(SNAKEFILES))

lock: venv ## resolve the dependencies of pyproject.toml anew into envs/requirements.lock
	uv pip compile pyproject.toml --quiet --upgrade --group dev --all-extras \
		--universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock" --output-file envs/requirements.lock

venv: ## create .venv from the lock file, unless it is up to date
	@envs/create-venv $(VENV)

clean: ## remove .venv, runs and caches
	rm -rf $(VENV) runs .snakemake .coverage .coverage.* htmlcov build *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find lsstpipe tests workflow benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
