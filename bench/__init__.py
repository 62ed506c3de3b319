"""Speed of rollouts and learning beside plain `transformers`; `python -m bench` or `make bench`."""
