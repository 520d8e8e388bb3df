"""
``%time``, ``%timeit``, ``%prun`` and ``%run`` of code that awaits.
"""
