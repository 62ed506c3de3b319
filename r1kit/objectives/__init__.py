"""Pure tensor functions: advantages, policy losses, KL estimators, supervised loss."""
