"""
The live console beside python-manhole and aiomonitor: what having one costs.

``application`` is the program that has one (``hosts`` says which), ``holding`` the
parent's hold on it and ``prompts`` on its console; ``measuring`` lets them take
turns, and ``rows`` makes the table of it.
"""
