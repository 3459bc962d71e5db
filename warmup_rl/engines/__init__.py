"""Engine plug-ins: what makes completions; named in `warmup_rl.interfaces.plugins`."""
