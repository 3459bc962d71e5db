"""From the files of finished runs to claims, tables and pictures."""
