"""Recipes, run folders and the runner that takes one through the other."""
