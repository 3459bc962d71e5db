"""Domain plug-ins, one family of problems a file; named in `warmup_rl.interfaces.plugins`."""
