# Scripted conversations with the whole agent. What they gave is in docs/benchmarks.md.
.PHONY: dialogue

dialogue: ## hold scripted conversations and judge the turn-taking (DIALOGUE_ARGS="--nightly --json FILE")
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.dialogue $(DIALOGUE_ARGS)
