"""
Output, failures and log events: under the cell that started what causes them.
"""
