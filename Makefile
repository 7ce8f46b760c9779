# What a clone can do. Everything runs in .venv, which each target first brings up to date.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test check format constraints clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## set up, start Triton (embedded profile) and the orchestrator, print the page's address
	@deploy/setup/environment.sh demo
	@exec .venv/bin/goassist up --profile embedded

test: ## set up, a browser included, and run every test (PYTEST_ARGS="-k vad")
	@deploy/setup/environment.sh test
	@exec .venv/bin/python -m pytest $(PYTEST_ARGS)

check: ## lint, formatting and types
	@deploy/setup/environment.sh check
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy --strict

format: ## apply what check asks of the formatting, and the lint fixes that are safe
	@deploy/setup/environment.sh check
	.venv/bin/python -m ruff check --fix .
	.venv/bin/python -m ruff format .

constraints: ## resolve the dependencies anew and write requirements/constraints.txt
	@deploy/setup/constraints.sh

clean: ## remove what make has made: the environment and the caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis goassist.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Targets that come with their own parts: engines.mk, …
include $(wildcard *.mk)
