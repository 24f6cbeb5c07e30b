"""Training: losses, the LightningModule, checkpoints, and one call that runs them."""
