"""A neural network of the flights, trained by several workers at once.

The workers are the Pods of a PyTorchJob or a TFJob. The result is a scikit-learn pipeline, so that
what evaluates and serves models needs neither framework.
"""
