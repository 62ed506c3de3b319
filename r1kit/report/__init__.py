"""What people look at: terminal views, pictures, transcripts and tables of a run."""
