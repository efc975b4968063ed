"""Rules that every stack keeps: pure functions over a resource's inputs, run as a policy pack."""
