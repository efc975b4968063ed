"""What composes the layers: the settings, and the commands that the Makefile calls."""
