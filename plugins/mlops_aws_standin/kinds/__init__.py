"""The resource types that the program uses, by token."""

from mlops_aws_standin.kind import Kind
from mlops_aws_standin.kinds import accounts, ec2, eks, s3, stores

KINDS: dict[str, Kind] = {**ec2.KINDS, **s3.KINDS, **accounts.KINDS, **eks.KINDS, **stores.KINDS}
