"""A class: from what was handed in to a gradebook."""
