"""Models: loading, saving, precision and chunked log-probabilities."""
