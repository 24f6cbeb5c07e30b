"""Format of a bundle folder: manifest, checksums, purchases, tolerances; numpy only."""
