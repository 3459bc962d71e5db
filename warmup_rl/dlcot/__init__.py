"""DLCoT (arXiv 2503.16385): a long chain of thought taken apart into approaches, and needless ones cut out."""
