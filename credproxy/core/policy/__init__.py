"""What is decided: which host rule answers, and what a build action may do."""
