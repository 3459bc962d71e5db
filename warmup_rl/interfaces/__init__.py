"""What plug-ins and stages promise one another: domain, engine, cleaner, corpus, stage, chat contract."""
