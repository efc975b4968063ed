from tests.unit.flight_rollout.fake import cluster

__all__ = ["cluster"]
