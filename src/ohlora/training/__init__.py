"""Training: data from files, one loop a page long, resumable checkpoints. Needs torch."""
