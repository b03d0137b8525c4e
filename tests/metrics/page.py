"""A page of OpenMetrics text, read strictly."""
import re

SERIES = re.compile(r'^([a-z_][A-Za-z0-9_]*)(?:\{((?:[A-Za-z_][A-Za-z0-9_]*="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')
LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """Series by name, and kinds of families; fails on anything that is no OpenMetrics text."""
    lines = text.splitlines()
    assert lines.pop() == "# EOF", "no end"
    kinds, series = {}, {}
    for line in lines:
        if line.startswith("# "):
            _, what, name, value = line.split(" ", 3)
            assert what in ("HELP", "TYPE", "UNIT"), line
            if what == "TYPE":
                assert name not in kinds, f"{name} twice"
                kinds[name] = value
            continue
        found = SERIES.match(line)
        assert found, line
        name, labels = found[1], tuple(sorted(LABEL.findall(found[2] or "")))
        family = next((name[: -len(end)] for end in ("_total", "_bucket", "_sum", "_count") if name.endswith(end)
                       and kinds.get(name[: -len(end)]) in ("counter", "histogram")), name)
        assert family in kinds, f"{name} has no type"
        one = series.setdefault(name, {})
        assert labels not in one, f"{line} twice"
        one[labels] = float(found[3])
    return kinds, series


class Page:
    def __init__(self, path):
        self.kinds, self.series = parse(open(path).read())

    def value(self, name, **wanted):
        """The one series of that name that has these labels."""
        found = [v for labels, v in self.series[name].items() if wanted.items() <= dict(labels).items()]
        assert len(found) == 1, (name, wanted, found)
        return found[0]

    def size(self):
        return sum(map(len, self.series.values()))
