# The engines with environments of their own (.venvs): cpu holds all of that profile's, xtts goes with no other.
ENGINES ?= cpu xtts

.PHONY: demo-cpu test-engines bench-models bench-gpu

demo-cpu: ## like demo, with real engines on the CPU (first: .venv/bin/goassist models pull --profile cpu)
	@deploy/setup/environment.sh demo
	@deploy/setup/engines.sh cpu
	@exec .venv/bin/goassist up --profile cpu

test-engines: ## set up the heavy engines' environments and test them (ENGINES="kokoro xtts" limits which)
	@deploy/setup/environment.sh test
	@deploy/setup/engines.sh $(ENGINES)
	@exec .venv/bin/python -m pytest -m engines $(PYTEST_ARGS) tests/engines_heavy

bench-models: ## measure what Triton adds to each engine's first chunk, and recognition's chunks (cpu engines where set up)
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.model_cost
	@.venv/bin/python benchmarks/asr.py chunks

bench-gpu: ## measure the engines at full size on an NVIDIA GPU, under GPU_PYTHON (BENCH_ARGS="--engine whisper")
	@deploy/setup/environment.sh check
	@exec .venv/bin/python benchmarks/engines_gpu.py $(BENCH_ARGS)
