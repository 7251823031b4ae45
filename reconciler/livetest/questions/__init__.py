"""The questions, a module for each group of them."""
