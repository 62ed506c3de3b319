"""Rollouts: the `Sampler` protocol, the local engine, and collection of scored groups."""
