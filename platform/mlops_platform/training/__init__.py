"""Distributed trainings."""
