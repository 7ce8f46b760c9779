"""Scripted conversations with the whole agent, judged as a person on the line would: `make dialogue`."""
