"""AtomicPusher: TFX's Pusher, with a push that is whole or not there."""

from tfx.components.pusher.component import Pusher
from tfx.dsl.components.base import executor_spec

from custom_components.pusher.executor import Executor


class AtomicPusher(Pusher):
    """TFX's Pusher; see :class:`custom_components.pusher.executor.Executor` for what differs."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
