"""The flight-delay model's requests, and what serves it on each engine."""
