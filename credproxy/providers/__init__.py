"""One module per way to obtain a credential. Providers do not know one another."""
