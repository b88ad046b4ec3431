"""The launcher: long-lived processes that are nobody's child, known by pid, start time and boot id.

It knows neither settings nor Jupyter's classes; `inside` and the verb `kernels` use it, the supervisor never does.
"""
