"""What several losses share: batches of one kind with a loss on top, and weights of purchases."""
