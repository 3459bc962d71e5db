"""Cleaner plug-ins: what a trace passes before warmup; named in `warmup_rl.interfaces.plugins`."""
