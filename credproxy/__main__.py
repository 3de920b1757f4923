"""``python -m credproxy``."""

from credproxy.cli import main


main()
