"""The configuration: TOML to frozen types, and what is wrong with them."""
