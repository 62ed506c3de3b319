"""From rollouts or documents to new weights: batches, the learner, checkpoints, the two training loops."""
