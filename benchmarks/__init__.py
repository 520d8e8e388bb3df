"""
How fast it is: ``python -m benchmarks``, from the top of the checkout.

A parent process (``suites``, one module for each group of rows) starts worker
processes (``worker``), lets them measure in turns, and prints what came out
(``report``). ``figures`` holds the numbers in between. The live console has a folder
of its own, and applications in the place of workers.

Needs nothing but the standard library and what it measures.
"""
