"""Where tables come from: packaged and public data, a user's own files and databases."""
