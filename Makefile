# `make demo` and `make test` set up all they need in .venv on a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Type checkers resolve the package by its import name, whatever the checkout folder is called.
SOURCE := $(VENV)/source

.PHONY: demo test lint types unit test-slow bench format clean

# Untrained weights: the boxes mean nothing, every step that makes them is real.
demo: artifacts/yolox/yolox.onnx
	@$(BIN)/cvrun --backend onnx --max-det 5 --save artifacts/demo \
		"$$($(BIN)/python -c 'import skimage, pathlib; print(pathlib.Path(skimage.__file__).parent / "data/astronaut.png")')"
	@echo
	@echo "annotated picture  artifacts/demo/astronaut_onnx.png"
	@echo "comparison         artifacts/yolox/parity.json"

artifacts/yolox/yolox.onnx: $(STAMP) $(wildcard exporters/*.py models/*.py models/*/*.py runtimes/*.py)
	$(BIN)/cvexport yolox --opset 18 --weights seeded

test: lint types unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	MYPYPATH=$(SOURCE) $(BIN)/mypy -m cvport -p cvport.models -p cvport.runtimes -p cvport.exporters

unit: $(STAMP)
	$(BIN)/python -m pytest

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

bench: $(STAMP)
	$(BIN)/pip install --quiet --no-deps rtmlib==0.0.15
	$(BIN)/python tests/bench/run.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	mkdir -p $(SOURCE) && ln -sfn "$(CURDIR)" $(SOURCE)/cvport
	touch $(STAMP)
