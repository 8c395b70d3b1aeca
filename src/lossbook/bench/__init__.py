"""The benchmark: every loss, in every implementation, on every device, in time and memory."""
