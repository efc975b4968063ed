from tests.unit.mlops_rollout.fake import cluster

__all__ = ["cluster"]
