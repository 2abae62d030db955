"""Everything that exists for speed: skip it on first reading."""
