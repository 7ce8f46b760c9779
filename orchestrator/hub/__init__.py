"""Weights of the models: which there are, how they come from the Hugging Face hub, and what is on this machine."""
