"""Makes the lessons from the solutions."""
