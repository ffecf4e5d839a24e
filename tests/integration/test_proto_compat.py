# SPDX-License-Identifier: Apache-2.0
"""Field numbers and types never change: the build's descriptors against the checked-in set."""
import copy
import unittest

from google.protobuf import descriptor_pb2

import twinlatch
import wire


def _flatten(files):
    """{full name: message, enum or service}"""
    found = {}

    def message(prefix, item):
        name = f"{prefix}.{item.name}"
        found[name] = item
        for nested in item.nested_type:
            message(name, nested)
        for enum in item.enum_type:
            found[f"{name}.{enum.name}"] = enum

    for file in files.file:
        for item in file.message_type:
            message(file.package, item)
        for item in file.enum_type:
            found[f"{file.package}.{item.name}"] = item
        for item in file.service:
            found[f"{file.package}.{item.name}"] = item
    return found


def _compare_fields(name, old, new):
    by_name = {f.name: f for f in new.field}
    for field in old.field:
        other = by_name.get(field.name)
        if other is None:
            if field.number not in [n for r in new.reserved_range for n in range(r.start, r.end)]:
                yield f"{name}.{field.name} (number {field.number}) is gone and its number is not reserved"
            else:
                yield f"{name}.{field.name} is gone"
            continue
        for what in ("number", "type", "type_name", "label"):
            if getattr(field, what) != getattr(other, what):
                yield f"{name}.{field.name}: {what} was {getattr(field, what)!r}, is {getattr(other, what)!r}"
        if field.HasField("oneof_index") != other.HasField("oneof_index"):
            yield f"{name}.{field.name}: moved into or out of a oneof"


def breaks(old_files, new_files):
    """What a program built from the old set would no longer understand; additions are fine."""
    old, new = _flatten(old_files), _flatten(new_files)
    found = []
    for name, item in old.items():
        other = new.get(name)
        if other is None or type(other) is not type(item):
            found.append(f"{name} is gone")
        elif isinstance(item, descriptor_pb2.DescriptorProto):
            found += _compare_fields(name, item, other)
        elif isinstance(item, descriptor_pb2.EnumDescriptorProto):
            values = {v.name: v.number for v in other.value}
            found += [f"{name}.{v.name} was {v.number}, is {values.get(v.name)}" for v in item.value
                      if values.get(v.name) != v.number]
        else:
            methods = {m.name: (m.input_type, m.output_type, m.client_streaming, m.server_streaming) for m in other.method}
            found += [f"{name}.{m.name} changed" for m in item.method if methods.get(m.name) != (
                m.input_type, m.output_type, m.client_streaming, m.server_streaming)]
    return found


class ProtoCompatibility(unittest.TestCase):
    def setUp(self):
        self.kept = wire.load_protoset()

    def mutated(self, change):
        files = copy.deepcopy(self.kept)
        change({f.name.split("/")[-1]: f for f in files.file})
        return breaks(self.kept, files)

    def test_build_understands_the_checked_in_set(self):
        built = wire.load_protoset(twinlatch.BUILD / "shared/proto/twinlatch/v1/twinlatch-v1.protoset")
        self.assertEqual(breaks(self.kept, built), [])
        self.assertGreater(len(_flatten(built)), 60)

    def test_checked_in_set_is_up_to_date(self):
        built = wire.load_protoset(twinlatch.BUILD / "shared/proto/twinlatch/v1/twinlatch-v1.protoset")
        self.assertEqual(breaks(built, self.kept), [], "new fields: copy the build's twinlatch-v1.protoset to tests/data")

    def test_a_changed_number_is_noticed(self):
        def change(files):
            files["pairing.proto"].message_type[0].field[0].number = 77
        self.assertIn("number was 1, is 77", self.mutated(change)[0])

    def test_a_changed_type_is_noticed(self):
        def change(files):
            files["common.proto"].message_type[0].field[0].type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
        self.assertIn("type was 9, is 12", self.mutated(change)[0])

    def test_a_changed_label_is_noticed(self):
        def change(files):
            files["common.proto"].message_type[0].field[0].label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        self.assertEqual(len(self.mutated(change)), 1)

    def test_a_removed_field_message_value_and_method_are_noticed(self):
        def change(files):
            del files["node.proto"].message_type[0].field[1]
            del files["admin.proto"].message_type[-1]
            del files["common.proto"].enum_type[0].value[1]
            del files["node.proto"].service[0].method[0]
        self.assertEqual(len(self.mutated(change)), 4)

    def test_a_renumbered_enum_value_is_noticed(self):
        def change(files):
            files["common.proto"].enum_type[0].value[1].number = 40
        self.assertEqual(len(self.mutated(change)), 1)

    def test_a_method_that_became_a_stream_is_noticed(self):
        def change(files):
            files["pairing.proto"].service[0].method[0].server_streaming = True
        self.assertEqual(len(self.mutated(change)), 1)

    def test_additions_are_fine(self):
        def change(files):
            field = files["pairing.proto"].message_type[0].field.add()
            field.name, field.number, field.type, field.label = "added", 99, 9, 1
            files["common.proto"].enum_type[0].value.add(name="CLIENT_KIND_WATCH", number=9)
            files["node.proto"].message_type.add(name="Added")
            files["node.proto"].service[0].method.add(name="Added")
        self.assertEqual(self.mutated(change), [])


if __name__ == "__main__":
    unittest.main()
