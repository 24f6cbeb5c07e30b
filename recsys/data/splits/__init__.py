"""What a model is fitted on and what it is evaluated on afterwards."""
