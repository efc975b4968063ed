"""The policy pack's entry point: Pulumi's engine runs this folder."""

from mlops_policies import pack

pack.serve()
