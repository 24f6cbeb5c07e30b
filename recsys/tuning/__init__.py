"""Many trainings in search of the best settings: chosen on validation, the best one tested once."""
