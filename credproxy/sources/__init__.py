"""Where stored secrets come from. Sources do not know one another; the table of them is in ``daemon/build.py``."""
