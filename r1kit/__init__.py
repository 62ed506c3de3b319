"""r1kit: the DeepSeek-R1 training recipe, from a laptop CPU to a cluster."""

__version__ = "0.1.0"
