"""
The live console: an IPython kernel inside a running Twisted application.
"""
