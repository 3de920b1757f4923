"""Pure conversations with token servers: generators that yield requests and are sent responses."""
