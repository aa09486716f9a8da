"""What Prometheus reads, by its own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


class Samples:
    """The values in a text."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self._samples = [sample for family in self.families for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The one of that name with exactly these labels."""
        [value] = [each.value for each in self._samples if each.name == name and each.labels == labels]
        return value

    def total(self, name: str) -> float:
        """Of all with that name."""
        return sum(each.value for each in self._samples if each.name == name)

    @property
    def names(self) -> set[str]:
        return {each.name for each in self._samples}
