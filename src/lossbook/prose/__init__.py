"""What texts say is held: rules by assertions, numbers by cells."""
