"""Layer 3, what a team ships: the flight-delay data, its training and its model."""
