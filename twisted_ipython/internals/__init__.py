"""
Private names of other libraries, one file for each library.

Each file says with which versions its names were tried; tests/test_internals.py
fails when one of them is gone.
"""
