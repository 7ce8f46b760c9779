# Measurements. What they gave is in docs/benchmarks.md.
.PHONY: bench bench-server bench-network bench-peers bench-cost
PORT ?= 8801
CPU ?= 0
WORKERS ?= 1

bench: ## measure latency, CPU and memory under load with stand-in models (BENCH_ARGS="--callers 1")
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.run --port $(PORT) --cpu $(CPU) --workers $(WORKERS) $(BENCH_ARGS)

bench-server: ## start just what the benchmark measures, for any client (PORT=8801 CPU=0 WORKERS=1)
	@deploy/setup/environment.sh demo
	@exec .venv/bin/python -m benchmarks.serve --port $(PORT) --cpu $(CPU) --workers $(WORKERS)

bench-network: ## measure calls over bad networks and from unusual clients, about 3 minutes (BENCH_ARGS="--only loss --check")
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.network --port $(PORT) --cpu $(CPU) $(BENCH_ARGS)

bench-peers: ## measure pipecat beside it, with the same stand-ins and callers, and print both and their ratio
	@deploy/setup/environment.sh demo
	@deploy/setup/peers.sh pipecat
	@.venv/bin/python -m benchmarks.peers --port $(PORT) --cpu $(CPU) $(BENCH_ARGS)

bench-cost: ## the floor: what a call's sound costs in C alone on this machine
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.floor
