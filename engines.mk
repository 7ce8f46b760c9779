# The engines with environments of their own (.venvs), tested in a real Triton on random weights that the tests make.
ENGINES ?= $(patsubst requirements/engines-%.txt,%,$(sort $(wildcard requirements/engines-*.txt)))

.PHONY: test-engines bench-gpu

test-engines: ## set up the heavy engines' environments and test them (ENGINES="vllm xtts" limits which)
	@deploy/setup/environment.sh test
	@deploy/setup/engines.sh $(ENGINES)
	@exec .venv/bin/python -m pytest -m engines $(PYTEST_ARGS) tests/engines_heavy

bench-gpu: ## measure the engines at full size on an NVIDIA GPU; says so where there is none
	@deploy/setup/environment.sh check
	@exec .venv/bin/python benchmarks/engines_gpu.py
