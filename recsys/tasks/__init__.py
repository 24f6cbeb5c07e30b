"""What a run does, task by task, between a configuration and a run folder."""
