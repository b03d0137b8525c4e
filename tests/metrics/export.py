"""export.py DIR PAGE SERVICE NAMES...: what SERVICE exported to DIR has the series of its page PAGE, and the same values in
the families NAMES, which stand still."""
import sys

import otlp
from page import Page

page = Page(sys.argv[2])
resource, kinds, series = otlp.figures(sys.argv[1], sys.argv[3])
assert resource["service.instance.id"] and resource["service.version"], resource
asked = {name: labels for name, labels in page.series.items() if not name.endswith("_bucket")}
assert set(series) == set(asked), set(series) ^ set(asked)
for name, labels in asked.items():
    assert set(series[name]) == set(labels), (name, set(series[name]) ^ set(labels))
assert all({"sum": "counter"}.get(kind, kind) == page.kinds[name] for name, kind in kinds.items())
for name in sys.argv[4:]:
    assert series[name] == asked[name], (name, series[name], asked[name])
print(f"{resource['service.name']} of {resource.get('service.namespace', 'no cluster')}: {len(kinds)} metrics with "
      f"{sum(map(len, series.values()))} values as on the page")
