"""
What cells have going: ``%background``, and cells that are run again.
"""
