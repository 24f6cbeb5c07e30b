"""Features of items and customers as of a date; none reads a row after it."""
