"""Speed and memory measured, others' beside ours in the same run: `python -m benchmarks [NAME ...]`."""
