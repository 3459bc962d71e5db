"""Cleaner plug-ins, the steps of the stage `clean`; named in `warmup_rl.interfaces.plugins`."""
