"""What only a few need, beside the core: plug-ins and commands that `warmup_rl` names and never imports."""
