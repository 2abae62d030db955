"""What docs/generate.py makes, one subject a file; each gives texts by their path under docs."""
