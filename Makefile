# `make demo` and `make test` set up all they need in .venv on a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NPU_WHEEL := $(VENV)/npu-wheel
DEMO_SEED := 2029
FUZZ_SECONDS ?= 120

.PHONY: demo test lint types unit test-npu-wheel test-package test-lowest test-slow test-faults bench mutation fuzz \
	sample-weights docs format clean

# Two pictures that the weights have not seen: one drawn from another seed, one a photograph with shapes on it.
demo: artifacts/yolox/yolox.onnx
	@PYTHONPATH=tools $(BIN)/python -m shapes draw --seed $(DEMO_SEED) --count 1 -o artifacts/demo
	@PYTHONPATH=tools $(BIN)/python -m shapes draw --seed $(DEMO_SEED) --count 1 --photo astronaut.png -o artifacts/demo
	@$(BIN)/cvrun --backend onnx --conf 0.5 --save artifacts/demo \
		artifacts/demo/shapes_$(DEMO_SEED)_0000.png artifacts/demo/astronaut_$(DEMO_SEED)_0000.png
	@echo
	@echo "comparison  artifacts/yolox/parity.json"

artifacts/yolox/yolox.onnx: $(STAMP) $(wildcard *.py exporters/*.py exporters/*/*.py models/*.py models/*/*.py runtimes/*.py runtimes/*/*.py models/yolox/sample/*)
	$(BIN)/cvexport yolox --opset 18 --weights sample

test: lint types unit test-npu-wheel

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# Two processes with one thread each: small networks gain nothing from more threads. The fixtures that export are made
# once for a file.
unit: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The real torch_npu over a stub of CANN. Where the wheel or gcc is missing, the tests are skipped and say so.
test-npu-wheel: $(NPU_WHEEL)
	CVPORT_NPU_WHEEL=$(NPU_WHEEL) $(BIN)/python -m pytest -m npu_wheel tests/npu_wheel

# The wheel with base dependencies alone, in an environment that pip makes.
test-package: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m package tests/environments

# The lowest versions of the base dependencies, OpenCV 4 and 5, and the later Pythons that are on the PATH. Exports all
# five models first; CVPORT_TEST_ARTIFACTS names a folder that has them.
test-lowest: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m lowest tests/environments

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

# Kills, full and failing disks, no memory, clocks that jump.
test-faults: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "faults or not faults" tests/faults

bench: $(STAMP)
	$(BIN)/pip install --quiet --no-deps rtmlib==0.0.15
	PYTHONPATH=tests $(BIN)/python -m bench

# What the gate sees of faults planted at random, whether it raises false alarms, and whether the search names the operator:
# an hour or so, can be continued.
mutation: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m mutation run
	PYTHONPATH=tests $(BIN)/python -m mutation clean
	PYTHONPATH=tests $(BIN)/python -m mutation table
	PYTHONPATH=tests $(BIN)/python -m mutation search

# What reads files and arrays, given damaged ones; atheris chooses them by coverage. FUZZ_SECONDS for each target.
fuzz: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fuzz]" --config-settings editable_mode=compat
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS) -o fuzz

# The weights that come along, trained anew: an hour or two.
sample-weights: $(STAMP)
	PYTHONPATH=tools $(BIN)/python -m shapes train -o models/yolox/sample

# The page of commands and options, from the commands themselves.
docs: $(STAMP)
	PYTHONPATH=tools $(BIN)/python -m cli_reference

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .editable/*.egg-info

# compat puts one folder on the path. setuptools' default mode is a hook that runs at import, which type checkers and
# editors do not follow; its strict mode is a tree of links that lacks every file added since.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		--config-settings editable_mode=compat -e ".[dev]"
	touch $(STAMP)

# In a folder of its own: a torch_npu without CANN in the environment would break every plain `import torch`.
$(NPU_WHEEL): $(STAMP)
	-[ "$$(uname -sm)" != "Linux x86_64" ] || $(BIN)/pip install --quiet --disable-pip-version-check --retries 1 \
		--no-deps --upgrade --target $(NPU_WHEEL) -c constraints.txt torch-npu
