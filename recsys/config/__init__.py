"""From a command line to typed settings: the only room that knows Hydra."""
