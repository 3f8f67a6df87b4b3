"""An independent oracle: what the tables must hold, computed in plain Python from the definitions alone."""
