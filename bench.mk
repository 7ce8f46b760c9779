# Measurements. What they gave is in docs/benchmarks.md.
.PHONY: bench bench-server bench-cost
PORT ?= 8801
CPU ?= 0

bench: ## measure latency, CPU and memory under load with stand-in models
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.run --port $(PORT) --cpu $(CPU)

bench-server: ## start just what the benchmark measures, for any client (PORT=8801 CPU=0)
	@deploy/setup/environment.sh demo
	@exec .venv/bin/python -m benchmarks.serve --port $(PORT) --cpu $(CPU)

bench-cost: ## the floor: what a call's sound costs in C alone on this machine
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.floor
