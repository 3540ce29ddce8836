# make demo: run the bundled model on the bundled frames.   make test: the whole test suite.
# Only Python >= 3.11 is needed. Another interpreter: make PYTHON=/path/to/python3.12 demo

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NEWEST := python3 python3.14 python3.13 python3.12 python3.11
PYTHON ?= $(shell for p in $(NEWEST); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: demo test model small large clean

demo: $(VENV)/.inference
	$(BIN)/residualpose predict src/residualpose/samples/*.npz --output demo_output --overwrite
	@echo
	@echo "Pictures of the 2D, completed and refined people:  demo_output/*.png"
	@echo "Interactive 3D, open it in any browser:            demo_output/*.html"
	@echo "Numbers, a line a frame:                           demo_output/poses.jsonl"

test: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/python -m pytest

# The whole recipe of a bundled model, half a day on two cores: render, train, round, put together.
# It goes on where it was interrupted. MOCAP: where the motion capture is, if not where CONFIG says.
# make model: base.   make small: small.   make large: base, then the network of its closer looks.
NAME := base
CONFIG := configs/$(NAME).toml
INTEGERS := configs/$(NAME)_integers.toml
OUT := runs/$(NAME)
HELD_OUT_SHARDS := 128
MOCAP :=
SYNTH = $(BIN)/residualpose synth --config $(CONFIG) $(if $(MOCAP),--mocap $(MOCAP))

model: $(VENV)/.dev
	$(SYNTH) --out $(OUT)/data
	$(SYNTH) --out $(OUT)/held_out --seed 1 --shards $(HELD_OUT_SHARDS)
	$(BIN)/residualpose train maps --config $(CONFIG) --data $(OUT)/data --out $(OUT)/maps
	$(BIN)/residualpose train maps --config $(INTEGERS) --from $(OUT)/maps/checkpoint.pt \
		--data $(OUT)/data --out $(OUT)/integers
	$(BIN)/residualpose fit prior --config $(CONFIG) --data $(OUT)/data --out $(OUT)/prior.npz
	$(BIN)/residualpose export --run $(OUT)/integers --prior $(OUT)/prior.npz \
		--out $(OUT)/detector --overwrite
	$(BIN)/residualpose fit refiner --config $(CONFIG) --data $(OUT)/held_out \
		--model $(OUT)/detector --out $(OUT)/refiner.onnx
	$(BIN)/residualpose export --run $(OUT)/integers --prior $(OUT)/prior.npz \
		--refiner $(OUT)/refiner.onnx --out $(OUT)/model --name $(NAME) --overwrite
	@echo "The model: $(OUT)/model (residualpose predict ... --model $(OUT)/model)"

small:
	$(MAKE) model NAME=small

LARGE := runs/large
LARGE_CONFIG := configs/large.toml
LARGE_SYNTH = $(BIN)/residualpose synth --config $(LARGE_CONFIG) $(if $(MOCAP),--mocap $(MOCAP))

large: model
	$(LARGE_SYNTH) --out $(LARGE)/data
	$(LARGE_SYNTH) --out $(LARGE)/held_out --seed 16
	$(BIN)/residualpose train maps --config $(LARGE_CONFIG) --from $(OUT)/integers/checkpoint.pt \
		--data $(LARGE)/data --out $(LARGE)/closer
	$(BIN)/residualpose export --run $(OUT)/integers --closer $(LARGE)/closer \
		--prior $(OUT)/prior.npz --out $(LARGE)/detector --overwrite
	$(BIN)/residualpose fit refiner --config $(LARGE_CONFIG) --data $(LARGE)/held_out \
		--model $(LARGE)/detector --from $(OUT)/model --out $(LARGE)/refiner.onnx
	$(BIN)/residualpose export --run $(OUT)/integers --closer $(LARGE)/closer \
		--prior $(OUT)/prior.npz --refiner $(LARGE)/refiner.onnx --out $(LARGE)/model --name large \
		--overwrite
	@echo "The model: $(LARGE)/model (residualpose predict ... --model $(LARGE)/model)"

clean:
	rm -rf $(VENV) demo_output

# The stamps make a second run start at once; a changed pyproject.toml installs again.
$(VENV)/.inference: pyproject.toml | $(BIN)/python
	@echo "Installing residualpose and what inference needs into $(VENV) ..."
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "Installing residualpose with its development extras into $(VENV) (torch: a few minutes) ..."
	@$(PIP) install --editable '.[dev]'
	@touch $@

$(BIN)/python:
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "residualpose needs Python >= 3.11, found: $$(python3 --version 2>&1)." \
			"Install one, or name it: make PYTHON=/path/to/python3.12 demo" >&2; exit 1; fi
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
