"""The wrong functions that people really write, a module a row: what a student is told, and what tests the grader."""
