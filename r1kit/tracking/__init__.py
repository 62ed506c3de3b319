"""What a run tells: logged numbers, progress in the terminal, and the wish to stop."""
