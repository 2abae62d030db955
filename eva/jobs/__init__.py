"""Jobs: tasks carried to workers, on this machine or a cluster; it knows nothing of grading."""
