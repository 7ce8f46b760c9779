# Scripted conversations with the whole agent. What they gave is in docs/benchmarks.md.
.PHONY: dialogue dialogue-peers endpointing

dialogue: ## hold scripted conversations and judge the turn-taking (DIALOGUE_ARGS="--nightly --json FILE", "--recordings FOLDER")
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.dialogue $(DIALOGUE_ARGS)

dialogue-peers: ## when GoAssist and pipecat take the turn, on the same calls (DIALOGUE_ARGS="--servers pipecat", "--recordings FOLDER")
	@deploy/setup/environment.sh demo
	@deploy/setup/peers.sh pipecat
	@.venv/bin/python -m benchmarks.dialogue.peers $(DIALOGUE_ARGS)

endpointing: ## tell when the turn would be taken in recordings, without a call (RECORDINGS="FOLDER -v")
	@deploy/setup/environment.sh demo
	@.venv/bin/python -m benchmarks.dialogue.endpointing $(RECORDINGS)
