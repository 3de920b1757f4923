"""The parts of the broker that outlive an era."""

from dataclasses import dataclass

from credproxy.broker.bugs import Bugs
from credproxy.broker.doubt import Doubt
from credproxy.broker.rate_limit import Budget
from credproxy.broker.renewal import Renewal
from credproxy.broker.runway import Runway
from credproxy.ports.clock import Clock, Sample
from credproxy.ports.observability import Metrics


@dataclass(frozen=True, slots=True)
class Lasting:
    """What belongs to the process, and is passed from one era to the next.

    Attributes:
        clock: judges every lifetime.
        sample: draws jitter.
        metrics: is told of look-ups and exchanges.
        bugs: contains unexpected exceptions of providers.
        budget: what build actions may cause.
        doubt: what may have been refused.
        runway: which flights may start: what is under way at once is bounded for all eras together.
        renewal: keeps entries fresh, at a bounded rate.
    """

    clock: Clock
    sample: Sample
    metrics: Metrics
    bugs: Bugs
    budget: Budget
    doubt: Doubt
    runway: Runway
    renewal: Renewal
