"""The protobuf message of a Sparkplug B payload, described at run time.

Written from the field numbers of the standard's payload chapter (Sparkplug 3.0, section 6.4.1). Only what we read or
write is described: protobuf skips the rest (property sets, data sets, templates), whatever a stranger nests in it.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "packwatch.sparkplug"


def _describe() -> descriptor_pb2.FileDescriptorProto:
    # Edition 2023 and not the standard's proto2, for the same bytes: fields know whether they were there, as in proto2,
    # and a text that is no UTF-8 is an error, where proto2 would hand us half a string.
    file = descriptor_pb2.FileDescriptorProto(
        name="packwatch_sparkplug", package=_PACKAGE, syntax="editions", edition=descriptor_pb2.Edition.EDITION_2023
    )
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    for name, number, kind in (
        ("name", 1, _Field.TYPE_STRING),
        ("alias", 2, _Field.TYPE_UINT64),
        ("timestamp", 3, _Field.TYPE_UINT64),
        ("datatype", 4, _Field.TYPE_UINT32),
        ("is_historical", 5, _Field.TYPE_BOOL),
        ("is_null", 7, _Field.TYPE_BOOL),
    ):
        metric.field.add(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
    metric.oneof_decl.add(name="value")
    for name, number, kind in (
        ("int_value", 10, _Field.TYPE_UINT32),
        ("long_value", 11, _Field.TYPE_UINT64),
        ("float_value", 12, _Field.TYPE_FLOAT),
        ("double_value", 13, _Field.TYPE_DOUBLE),
        ("boolean_value", 14, _Field.TYPE_BOOL),
        ("string_value", 15, _Field.TYPE_STRING),
        ("bytes_value", 16, _Field.TYPE_BYTES),
    ):
        metric.field.add(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL, oneof_index=0)
    payload.field.add(name="timestamp", number=1, type=_Field.TYPE_UINT64, label=_Field.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics",
        number=2,
        type=_Field.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Payload.Metric",
        label=_Field.LABEL_REPEATED,
    )
    payload.field.add(name="seq", number=3, type=_Field.TYPE_UINT64, label=_Field.LABEL_OPTIONAL)
    # The same outer message with its metrics unread: telling how many there are costs 16 bytes each, not a message.
    outline = file.message_type.add(name="Outline")
    outline.field.add(name="metrics", number=2, type=_Field.TYPE_BYTES, label=_Field.LABEL_REPEATED)
    return file


def _message_class(name: str) -> Any:  # protobuf makes the class at run time: no static type exists
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


# A pool of our own: a program that also loads someone else's Sparkplug schema does not collide with it.
_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_describe())

PayloadMessage: Final = _message_class("Payload")
OutlineMessage: Final = _message_class("Outline")
