"""The judge: a graph of a stranger, admitted and trained by secret seeds."""
