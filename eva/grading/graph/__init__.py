"""From a submission's code to a graph: what is graded."""
