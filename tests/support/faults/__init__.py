"""A world in which every effect of an apply can fail, and someone who watches that no promise is broken meanwhile."""
