"""gitckpt."""
