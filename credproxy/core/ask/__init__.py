"""What is asked and what is answered, as values: targets, credentials, messages, endpoints."""
