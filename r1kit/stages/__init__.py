"""The stages of the recipe: each turns artifacts into an artifact."""
