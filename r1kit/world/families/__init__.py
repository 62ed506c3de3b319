"""Families of the micro world's corpus: each module writes one kind of question with its responses."""
