"""A version of the model, rolled out on serving engines: made, tested, and only then asked.

An ordinary package over kubectl and MLflow's REST API, without Pulumi: `pulumi up`, the pipeline's
Deploy step and the commands for canaries do the same with it.
"""
