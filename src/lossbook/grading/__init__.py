"""Grades whole folders of submissions: read, run, judge, record, report."""
