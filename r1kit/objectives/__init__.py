"""Pure tensor functions: advantages, credit by token, policy losses, KL estimators, supervised loss."""
