"""credproxy-helper, the program that Bazel starts: its C source, and the Python script that stands in for it.

Nothing here is imported by the daemon. ``hatch_build.py`` compiles ``credproxy_helper.c``, or installs
``credproxy_helper.py`` if there is no compiler; both pass the same tests (``tests/helper``).
"""
