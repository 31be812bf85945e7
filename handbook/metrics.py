"""The metrics, from the module that counts them."""

from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from app import metrics
from handbook.page import code, table


def metric_table() -> str:
    """Return every metric with its type, its labels and what it counts."""
    found = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
    return table(("name", "type", "labels", "meaning"), sorted(_row(one) for one in found))


def _row(metric: MetricWrapperBase) -> tuple[str, str, str, str]:
    [told] = metric.describe()
    name = f"{told.name}_total" if isinstance(metric, Counter) else told.name
    labels = code(*metric._labelnames)  # noqa: SLF001 # the library tells them no other way
    return code(name), told.type, labels or "none", told.documentation
