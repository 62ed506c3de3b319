"""What the policy is asked, and how its answers are checked."""
