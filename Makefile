# make run and make test do all the set-up. CORES, CONFIG and PYTHON can be given: make run CORES=8
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORES  ?= $(shell getconf _NPROCESSORS_ONLN)
CONFIG ?= config/config.yaml
# Its builds for a CPU and for each CUDA are different files of one version, and machines bring their
# own, so it has a version but no hash. Everything else is checked by hash.
TORCH  := torch==2.13.0

.PHONY: help run paper test check docs format benchmark doctor gpu-check lock clean

help:                              ## what there is to make
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1: /p' $(MAKEFILE_LIST) | awk -F ': ' '{printf "make %-10s %s\n", $$1, $$2}'

run: $(VENV)/installed             ## figures and report of the default configuration
	$(BIN)/snakemake --cores $(CORES) --configfile "$(CONFIG)"

paper: $(VENV)/installed           ## the paper's full protocol
	$(BIN)/snakemake --cores $(CORES) --configfile "config/paper.yaml"

# one process more than cores, because some tests wait: for a cluster, for the moment to kill a run
test: $(VENV)/installed            ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $$(($(CORES) + 1)) --dist loadscope --no-loadscope-reorder

check: $(VENV)/installed docs      ## lint, format, types, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy

docs: $(VENV)/installed            ## the site, site/html; the notebook is run and links are checked
	$(BIN)/sphinx-build -q -E -W --keep-going -c docs . site/html

format: $(VENV)/installed          ## mend lint and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

# the virtual environment, made anew whenever what it is made from changes
$(VENV)/installed: Makefile pyproject.toml requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "urnn needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements.txt
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check
# else each start compiles it where Python is told not to keep that (PYTHONDONTWRITEBYTECODE)
	$(BIN)/python -m compileall -q src
	touch $@

benchmark: $(VENV)/installed       ## our training step beside those of other tools; OPTIONS=--quick
	$(BIN)/python -m benchmarks $(OPTIONS)

doctor: $(VENV)/installed          ## which devices there are, whether they compute right, and how fast
	$(BIN)/python -m urnn doctor

gpu-check: $(VENV)/installed       ## all that is to be run where there is a GPU; OPTIONS=--quick
	$(BIN)/python -m benchmarks.gpu_check $(OPTIONS)

# with the hashes of all files of each version on PyPI, so that it holds for every platform; appnope is
# what ipykernel needs on macOS, where nobody has run this
lock: $(VENV)/installed            ## requirements.txt from what is installed in .venv
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv
	(echo 'appnope ; sys_platform == "darwin"'; $(BIN)/python -m pip freeze --exclude-editable) \
	  | grep -v -E '^(torch|triton|nvidia-.*)==' \
	  | $(VENV)/lock/bin/uv pip compile --quiet --no-deps --universal --generate-hashes --no-header \
	    --no-annotate --default-index https://pypi.org/simple --output-file requirements.tmp -
	(sed '/^[^#]/,$$d' requirements.txt; sed '/^#/d' requirements.tmp) > requirements.new
	mv requirements.new requirements.txt; rm requirements.tmp

clean:                             ## results and reports; the environment stays
	rm -rf results reports/index.html reports/figures .snakemake
