"""What rooms need from one another and from the world; satisfied structurally.

A port belongs to the rooms that need it. An adapter that satisfies one is in a file of the same name: ``ports/clock.py`` says
what a clock does, and ``adapters/clock.py`` is one.
"""
