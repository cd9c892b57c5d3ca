"""The deployment: its release, its image, its compose file."""
