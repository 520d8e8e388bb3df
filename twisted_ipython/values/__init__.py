"""
How Deferreds, EventualResults, Failures and delayed calls show themselves.
"""
