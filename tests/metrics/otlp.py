"""What was exported, decoded with the types that the authors of OpenTelemetry publish for Python."""
import glob

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {"metrics": ExportMetricsServiceRequest, "traces": ExportTraceServiceRequest}


def known(message):
    """Every field has a number and a type that the published definition has."""
    assert not len(UnknownFieldSet(message)), message
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for one in value if field.is_repeated else [value]:
                known(one)


def messages(folder, signal):
    for path in sorted(glob.glob(f"{folder}/*.{signal}")):
        message = KINDS[signal].FromString(open(path, "rb").read())
        known(message)
        yield message


def values(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def figures(folder, service):
    """The last figures of a service: kind and series by name, as `page.Page` has them, and the resource."""
    last = None
    for message in messages(folder, "metrics"):
        for one in message.resource_metrics:
            if values(one.resource.attributes)["service.name"] == service:
                last = one
    assert last is not None, f"nothing from {service}"
    kinds, series = {}, {}
    for metric in last.scope_metrics[0].metrics:
        kind = metric.WhichOneof("data")
        assert metric.name not in kinds and metric.description, metric
        points = getattr(metric, kind).data_points
        kinds[metric.name] = kind
        if kind == "sum":
            assert metric.sum.is_monotonic and metric.sum.aggregation_temporality == 2, metric
            assert all(0 < point.start_time_unix_nano <= point.time_unix_nano for point in points), metric
        if kind == "histogram":
            (point,) = points
            assert sum(point.bucket_counts) == point.count and len(point.bucket_counts) == len(point.explicit_bounds) + 1
            series[metric.name + "_count"] = {(): point.count}
            series[metric.name + "_sum"] = {(): point.sum}
        else:
            name = metric.name + ("_total" if kind == "sum" else "")
            series[name] = {tuple(sorted(values(point.attributes).items())): point.as_double for point in points}
            assert len(series[name]) == len(points), f"{name}: a series twice"
    return values(last.resource.attributes), kinds, series
