"""One job over many inputs: which, where to, in what order, and what became of them.

* :mod:`job`: the values between a job and its runner
* :mod:`inputs`: arguments, folders and lists into items
* :mod:`outputs`: names of the results, and every reason not to write them, before anything is read
* :mod:`workers`: threads that do items, errors caught per item
* :mod:`run`: order, memory, policies, interruption
* :mod:`journal`: the report with one line per input
* :mod:`signals`: ending by a signal, cleanly
"""
