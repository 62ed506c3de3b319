"""Programs behind Landlock and seccomp: zygotes, their pool, and the proof at start-up."""
