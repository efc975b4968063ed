"""How the pinned programs, images and data of a stack are obtained on a bare machine."""
