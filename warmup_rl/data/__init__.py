"""Rows in, logs out: data sets of users, and files that survive a kill."""
