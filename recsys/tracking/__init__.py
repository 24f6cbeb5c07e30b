"""Finished runs sent to trackers: parameters, learning curves, metrics, report, bundle."""
