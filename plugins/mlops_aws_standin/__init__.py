"""A stand-in of Pulumi's `aws` plugin for tests: it speaks to a moto server, never to AWS.

It carries the resource types that this project's program uses, checks their inputs against the
types of the `pulumi_aws` SDK, and refuses everything else. Against AWS the official plugin is used.
"""

from importlib.metadata import version

VERSION = version("pulumi-aws")
