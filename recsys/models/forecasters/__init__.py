"""Forecasters, one a file: learned networks and statsforecast's methods."""
