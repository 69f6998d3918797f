"""What a comparison found, as a record and as text."""
