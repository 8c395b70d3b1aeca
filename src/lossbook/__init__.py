"""Loss Functions from First Principles: reference losses, exercises, timing and the tools that make the book."""
