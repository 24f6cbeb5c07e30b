"""Runs side by side: which may be compared, what they reached, whether the difference is real."""
