#!/usr/bin/env bash
# Snakemake runs this in the new environment; its packages are there, and urnn itself is added.
set -euo pipefail
python3 -m pip install --quiet --no-deps --no-build-isolation --editable "$URNN_PROJECT"
