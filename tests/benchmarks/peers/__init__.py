"""Experiment 5 trained by others, a file each; a peer prints a JSON line an epoch."""
