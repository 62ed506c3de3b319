"""The subcommands of `r1kit`, one module each; each is imported only when it is asked for."""
