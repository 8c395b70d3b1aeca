"""Builds the pages of the book, and checks what stands on them."""
