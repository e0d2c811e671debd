"""Deployment: from a checkpoint to a model that runs on the device, and proof that it is the same model."""
