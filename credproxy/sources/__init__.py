"""Where stored secrets come from. Sources do not know one another."""
