"""What makes the pages of the reference: from the code itself, at every build, without a file in the repository."""
