"""How good results are against truth: a module per kind of result."""
