"""What a run takes of memory: arithmetic before it starts, and what a process really took."""
