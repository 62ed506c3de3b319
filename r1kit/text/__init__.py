"""Prompt templates and plain-text measures of responses."""
