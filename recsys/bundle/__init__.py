"""The bundle folder, for writer and readers alike: manifest, checksums, agreement; numpy only."""
