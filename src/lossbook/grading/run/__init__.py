"""Submissions run here, shut in; no answer is near."""
