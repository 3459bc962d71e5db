"""What the package does today, in files, and the code that writes them."""
