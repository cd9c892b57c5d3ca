"""Changes that must reach other stores: written with the row, delivered once, in order."""
