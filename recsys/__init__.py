"""From a table of transactions to a shipped recommender."""
