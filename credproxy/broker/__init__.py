"""From a question to an answer: route, cache, one flight per key, renewal."""
