"""Practice: one submission of your own, graded here."""
