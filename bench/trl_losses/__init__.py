"""r1kit's policy losses beside those of TRL's GRPOTrainer, on the same rollouts and the same models."""
