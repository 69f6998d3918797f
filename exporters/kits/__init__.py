"""What is made for others: packages with a model of their own."""
