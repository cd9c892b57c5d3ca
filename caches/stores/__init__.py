"""What is shared in Redis: the indexes of all processes, and what geocoders may be asked."""

from caches.stores.workers import KEPT_SECONDS, WorkerIndex, publish, published

__all__ = ["KEPT_SECONDS", "WorkerIndex", "publish", "published"]
