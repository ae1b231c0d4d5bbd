# make run and make test do all the set-up. CORES, CONFIG and PYTHON can be given: make run CORES=8
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORES  ?= $(shell getconf _NPROCESSORS_ONLN)
CONFIG ?= config/config.yaml

.PHONY: run paper test check format benchmark doctor gpu-check lock clean

run: $(VENV)/installed             ## figures and report of the default configuration
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)

paper: $(VENV)/installed           ## the paper's full protocol
	$(BIN)/snakemake --cores $(CORES) --configfile config/paper.yaml

test: $(VENV)/installed            ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

check: $(VENV)/installed           ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

# the virtual environment, made anew whenever what it is made from changes
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "urnn needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[workflow,slurm,dev]'
	touch $@

benchmark: $(VENV)/installed       ## our training step beside those of other tools; OPTIONS=--quick
	$(BIN)/python -m benchmarks $(OPTIONS)

doctor: $(VENV)/installed          ## which devices there are, whether they compute right, and how fast
	$(BIN)/python -m urnn doctor

gpu-check: $(VENV)/installed       ## all that is to be run where there is a GPU; OPTIONS=--quick
	$(BIN)/python -m benchmarks.gpu_check $(OPTIONS)

lock: $(VENV)/installed            ## constraints.txt from what is installed
	(head -n 1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//') > constraints.tmp
	mv constraints.tmp constraints.txt

clean:                             ## results and reports; the environment stays
	rm -rf results reports/index.html reports/figures .snakemake
