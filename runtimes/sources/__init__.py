"""Where images come from: sources of named images, in order."""
