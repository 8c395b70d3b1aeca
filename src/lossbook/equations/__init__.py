"""Checks the displayed equations of the book from their own LaTeX."""
