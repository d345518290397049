"""From a quantile function in Python to a straight-line program: its source is read, checked, and run on symbols."""
