#!/usr/bin/env python3
"""Prints the published CRI contract as one sorted line per message, field, enum value and rpc.

To regenerate (Go module proxy; needs protoc):
    go mod download -json k8s.io/cri-api@v0.38.0-beta.0    # in a temporary module; note "Dir"
    ./published_table.py $Dir/pkg/apis/runtime/v1/api.proto > published_v0_38_0.txt
descriptor_test.cc prints our descriptor in the same form and wants no difference.
"""
import pathlib
import subprocess
import sys
import tempfile


def descriptor_text(published: pathlib.Path) -> str:
    """The file's FileDescriptorSet in protobuf text format."""
    with tempfile.TemporaryDirectory() as directory:
        # debug_redact is unknown to protoc before 22 and not part of the wire format.
        source = published.read_text().replace(" [debug_redact = true]", "")
        pathlib.Path(directory, "api.proto").write_text(source)
        binary = subprocess.run(
            ["protoc", f"-I{directory}", "--descriptor_set_out=/dev/stdout", "api.proto"],
            check=True, stdout=subprocess.PIPE).stdout
    return subprocess.run(
        ["protoc", "-I/usr/include", "--decode=google.protobuf.FileDescriptorSet",
         "google/protobuf/descriptor.proto"],
        input=binary, check=True, stdout=subprocess.PIPE).stdout.decode()


def parse(lines) -> dict:
    """Text format to {name: [values]}; a value is a string or such a dict."""
    node = {}
    for line in lines:
        line = line.strip()
        if line == "}":
            return node
        if line.endswith(" {"):
            node.setdefault(line[:-2], []).append(parse(lines))
        else:
            name, value = line.split(": ", 1)
            node.setdefault(name, []).append(value.strip('"'))
    return node


def messages(prefix, node, kind):
    for message in node.get(kind, []):
        name = prefix + message["name"][0]
        yield f"message {name}"
        for field in message.get("field", []):
            label = field["label"][0].removeprefix("LABEL_").lower()
            type_name = field.get("type_name", [""])[0].removeprefix(".runtime.v1.")
            type_name = type_name or field["type"][0].removeprefix("TYPE_").lower()
            deprecated = " deprecated" if "deprecated" in field.get("options", [{}])[0] else ""
            yield (f"field {name}.{field['name'][0]} {field['number'][0]} {label} {type_name}"
                   f" {field['json_name'][0]}{deprecated}")
        yield from enums(name + ".", message)
        yield from messages(name + ".", message, "nested_type")


def enums(prefix, node):
    for enum in node.get("enum_type", []):
        for value in enum["value"]:
            yield f"enum {prefix}{enum['name'][0]}.{value['name'][0]} {value['number'][0]}"


def rpcs(node):
    for service in node.get("service", []):
        for method in service["method"]:
            assert "client_streaming" not in method
            mode = "stream" if "server_streaming" in method else "unary"
            types = " ".join(method[key][0].removeprefix(".runtime.v1.")
                             for key in ("input_type", "output_type"))
            yield f"rpc {service['name'][0]}.{method['name'][0]} {types} {mode}"


def main():
    file = parse(iter(descriptor_text(pathlib.Path(sys.argv[1])).splitlines()))["file"][0]
    assert file["package"] == ["runtime.v1"] and file["syntax"] == ["proto3"]
    table = [*messages("", file, "message_type"), *enums("", file), *rpcs(file)]
    print("\n".join(sorted(table)))


main()
