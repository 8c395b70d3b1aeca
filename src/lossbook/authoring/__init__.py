"""Makes the lessons from the solutions, and builds the book."""
