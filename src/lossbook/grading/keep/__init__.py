"""Grades are kept here, and never lost or overwritten."""
