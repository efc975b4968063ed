"""Ways to obtain an artefact, one module each."""
