"""An embedded registry with token authentication, for `credproxy demo`."""
