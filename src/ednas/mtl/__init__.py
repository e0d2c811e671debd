"""Multi-task learning: other ways to weigh the losses of tasks."""
