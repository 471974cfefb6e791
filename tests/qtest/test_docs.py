# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual tells what the binary does: capabilities, parameters, QMP commands and events are the
same in the reference, in query-qmp-schema and in what the monitor answers."""
import re
import subprocess
import sys

import pytest

from godwit import environment


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run([sys.executable, environment.TOP / "scripts" / "make-docs.py", "--pages", folder,
                    "--builddir", environment.build_dir()], check=True)
    return {p.stem: p.read_text() for p in folder.iterdir()}


@pytest.fixture
def idle(machines):
    return machines(machine="none").start()


def listed(page, title):
    """What is described under a title of the options reference."""
    section = page.split(f"\n{title}\n---", 1)[1].split("\n---", 1)[0]
    return re.findall(r"^``([a-z0-9-]+)``", section, re.M)


def in_schema(schema, name):
    return [e for e in schema if e["name"] == name]


def enum_of_capabilities(schema):
    """The words of the enum that migrate-set-capabilities takes, found by following the types."""
    types = {e["name"]: e for e in schema}
    args = types[in_schema(schema, "migrate-set-capabilities")[0]["arg-type"]]
    array = types[args["members"][0]["type"]]
    status = types[array["element-type"]]
    member = next(m for m in status["members"] if m["name"] == "capability")
    return types[member["type"]]["values"]


def members_of_parameters(schema):
    types = {e["name"]: e for e in schema}
    return {command: [m["name"] for m in types[in_schema(schema, command)[0][key]]["members"]]
            for command, key in (("query-migrate-parameters", "ret-type"),
                                 ("migrate-set-parameters", "arg-type"))}


def test_capabilities_agree(idle, pages):
    documented = listed(pages["options-reference"], "Capabilities")
    answered = [c["capability"] for c in idle.qmp.cmd("query-migrate-capabilities")]
    assert len(documented) > 5
    assert documented == answered
    assert documented == enum_of_capabilities(idle.qmp.cmd("query-qmp-schema"))


def test_parameters_agree(idle, pages):
    documented = listed(pages["options-reference"], "Parameters")
    assert len(documented) > 5
    assert sorted(documented) == sorted(idle.qmp.cmd("query-migrate-parameters"))
    for names in members_of_parameters(idle.qmp.cmd("query-qmp-schema")).values():
        assert sorted(documented) == sorted(names)


def test_hmp_shows_the_same_options(idle, pages):
    for what in ("capabilities", "parameters"):
        shown = re.findall(r"^([a-z0-9-]+):", idle.hmp(f"info migrate_{what}"), re.M)
        assert sorted(shown) == sorted(listed(pages["options-reference"], what.capitalize()))


@pytest.mark.parametrize("meta", ["command", "event"])
def test_the_qmp_reference_has_every_entry(idle, pages, meta):
    documented = re.findall(rf"^\.\. _qmp-{meta}-(\S+):$", pages["qmp-reference"], re.M)
    schema = idle.qmp.cmd("query-qmp-schema")
    assert sorted(documented) == sorted(e["name"] for e in schema if e["meta-type"] == meta)
    if meta == "command":
        names = [c["name"] for c in idle.qmp.cmd("query-commands")]
        assert sorted(documented) == sorted(names)


def test_defaults_in_the_manual_are_the_values_at_first(idle, pages):
    page = pages["options-reference"]
    for name, value in idle.qmp.cmd("query-migrate-parameters").items():
        text = re.search(rf"^``{name}`` \((.*)\)$", page, re.M).group(1)
        at_first = text.rsplit("; ", 1)[1]
        expected = {str: value or "empty", bool: "on" if value else "off"}.get(type(value), value)
        assert re.match(rf"(``)?{expected}\b", at_first), f"{name}: {text}, but it is {value}"


def test_the_command_line_reference_is_the_binarys(pages):
    out = subprocess.run([*environment.godwit_bin(), "-help"], capture_output=True, text=True,
                         check=True).stdout
    options = set(re.findall(r"^(-[a-zA-Z][\w-]*)", out, re.M))
    documented = set(re.findall(r"^``(-[a-zA-Z][\w-]*)", pages["command-line"], re.M))
    assert len(options) > 40
    assert options <= documented
