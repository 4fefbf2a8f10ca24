"""One module a command: load config, build, call; nothing else."""
