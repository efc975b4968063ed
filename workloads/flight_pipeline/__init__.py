"""The flight-delay pipeline in the DSL of Kubeflow Pipelines.

Each component is a thin function around one of the package `flight_delay`, which is in the image
that the components run in; nothing is installed when a step starts.
"""
