"""Sections of reports, one a file: a function from what a run holds to a section or None."""
