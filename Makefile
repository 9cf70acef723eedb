# packshot: `make demo` to see it work, `make test` to prove it does. Both set everything up themselves.
#
# Linux without an NVIDIA GPU: PyTorch's CPU wheels save gigabytes of download; point pip at them first, as
# https://pytorch.org/get-started says, for example with PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPILED := $(VENV)/.compiled
DEMO ?= out/demo

export HF_HUB_OFFLINE ?= 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1
unexport PYTHONDONTWRITEBYTECODE  # what is compiled at its first import, not at installation, is to be compiled once

.PHONY: demo test soak check fix demo-model bench-train bench-images bench-fidelity bench-refresh bench-cut-out bench-composite bench-recolour bench-label bench-upscale constraints clean

demo: $(READY)  ## the main job on the demo catalog; the second time there is nothing to do
	@mkdir -p $(DEMO)/prefect
	@PREFECT_HOME=$(abspath $(DEMO))/prefect $(BIN)/packshot demo --folder $(DEMO)

test: check $(COMPILED)  ## the gate and all tests that fit in minutes, four at once: many wait for a server; T=tests/imaging: those alone
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 4 --dist loadgroup --max-worker-restart 0 $(T)

soak: $(READY)  ## hours: every crash point and broken request, 200 killed runs, mutated input
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m soak -n 2 --dist load
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/fuzz -m '' --fuzz-seconds 600 --fuzz-seed $$(date +%s)000

check: $(READY)  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports

fix: $(READY)  ## format, and what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "packshot needs Python 3.11 or newer; set PYTHON=python3.11 or the like")'
	$(PYTHON) -m venv $(VENV)
	@# most of what comes along is never imported: to compile it all beforehand takes a minute
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e ".[dev,s3]"
	@touch $@

$(COMPILED): $(READY)
	@# what each worker of the tests imports first: compiled once, not by four of them at the same time
	$(BIN)/python -c 'import flows.pipeline, moto.server, peft, prefect.server.api.server, tasks.engine.cohort, tasks.engine.rendering'
	@touch $@

constraints: $(READY)  ## pins what is installed now
	@head -2 constraints.txt > constraints.tmp
	@$(BIN)/python -m pip list --format=freeze | grep -viE '^(pip|setuptools|wheel|packshot)==' | sed 's/+cpu//' >> constraints.tmp
	@mv constraints.tmp constraints.txt

demo-model: $(READY)  ## trains the demo's model from nothing: hours on CPU cores, minutes on a large GPU
	PYTHONPATH=. $(BIN)/python -m infra.demo.train --out out/demo-model $(TRAIN)

clean:  ## forgets the demo and the caches, not the environment
	rm -rf out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

bench-train: $(READY)  ## SKUs an hour for cohorts of 1 to 32 on this device; more in BENCH="--script FILE --compiled 16"
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_train $(BENCH)

bench-images: $(READY)  ## images an hour of trained products, and whether the model waits; four minutes; on a GPU BENCH="--architecture sd15"
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_images $(BENCH)

bench-fidelity: $(READY)  ## do adapters show their products? most of an hour of one core; more in BENCH="--tables methods --skus 4"
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_fidelity $(BENCH)

bench-refresh: $(READY)  ## a night over 10 k, 100 k and 1 M SKUs: seconds and memory
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_refresh

bench-cut-out: $(READY)  ## how well products are cut out of photographs whose masks are known: two minutes
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_cut_out $(BENCH)

bench-composite: $(READY)  ## how near composites come to photographs of the product in the scene: five minutes
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_composite $(BENCH)

bench-recolour: $(READY)  ## whether recolouring finds what has the product's colour: a minute
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_recolour $(BENCH)

bench-label: $(READY)  ## whether the check `label` tells letters from what models draw in their place: BENCH=FOLDER of folders of photos
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_label $(BENCH)

bench-upscale: $(READY)  ## what a network that enlarges brings back, in BENCH="--upscaler FILE": minutes
	PYTHONPATH=. $(BIN)/python -m tests.bench.bench_upscale $(BENCH)
