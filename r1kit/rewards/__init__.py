"""Named reward terms and the weighted sum of them."""
