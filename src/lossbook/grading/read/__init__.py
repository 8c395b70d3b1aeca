"""What is handed in: found, counted and read as data."""
