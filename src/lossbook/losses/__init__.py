"""Reference implementations: PyTorch's losses, each the last line of its derivation."""
