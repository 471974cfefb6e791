#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes C tables, the introspection reply and the reference manual from the QMP schema.

The schema is qapi/*.json plus the engine's option table, which the build's options-dump prints as
JSON. Whatever is wrong with the schema ends the build with a message that names the definition.
Runs at build time only; standard library only.
"""
import argparse
import json
import re
import sys

# name -> (kind, JSON type, smallest, largest, what a wrong value's error says)
BUILTINS = {
    'str': ('STR', 'string', 0, 0, 'string'),
    'bool': ('BOOL', 'boolean', 0, 0, 'boolean'),
    'number': ('NUMBER', 'number', 0, 0, 'number'),
    'null': ('NULL', 'null', 0, 0, 'null'),
    'any': ('ANY', 'value', 0, 0, 'value'),
    'int': ('INT', 'int', -2**63, 2**63 - 1, 'integer'),
    'uint8': ('INT', 'int', 0, 2**8 - 1, 'uint8_t'),
    'uint16': ('INT', 'int', 0, 2**16 - 1, 'uint16_t'),
    'uint32': ('INT', 'int', 0, 2**32 - 1, 'uint32_t'),
    'uint64': ('UINT64', 'int', 0, 2**64 - 1, 'uint64'),
    'size': ('UINT64', 'int', 0, 2**64 - 1, 'uint64'),
}
META = ('enum', 'struct', 'union', 'alternate', 'command', 'event')
KEYS = {
    'enum': {'values', 'from-options'},
    'struct': {'members', 'from-options'},
    'union': {'base', 'discriminator', 'variants'},
    'alternate': {'types'},
    'command': {'args', 'returns', 'oob'},
    'event': {'members'},
}


class SchemaError(Exception):
    """Something that the schema's author must mend."""


def c_name(name):
    return re.sub(r'[^A-Za-z0-9]', '_', name)


def c_string(text):
    return json.dumps(text)


class Schema:
    """All definitions, checked, in the order of the files."""

    def __init__(self, paths, options):
        self.options = options
        self.files = []
        self.types = {}     # enum, struct, union, alternate by name
        self.commands = []
        self.events = []
        for path in paths:
            self.load(path)
        for d in self.all_definitions():
            self.check(d)

    def all_definitions(self):
        return list(self.types.values()) + self.commands + self.events

    def load(self, path):
        with open(path, encoding='utf-8') as f:
            try:
                doc = json.load(f)
            except json.JSONDecodeError as e:
                raise SchemaError(f'{path}: {e}') from e
        for d in doc['definitions']:
            meta = [m for m in META if m in d]
            if len(meta) != 1:
                raise SchemaError(f'{path}: {d}: give exactly one of {", ".join(META)}')
            d['meta'] = meta[0]
            d['name'] = d[meta[0]]
            extra = set(d) - KEYS[d['meta']] - {'meta', 'name', 'doc', 'since', d['meta']}
            if extra:
                raise SchemaError(f'{path}: {d["name"]}: unknown keys {sorted(extra)}')
            if not d.get('doc') or not d.get('since'):
                raise SchemaError(f'{path}: {d["name"]}: doc and since are needed')
            self.expand(d)
            self.add(path, d)
        self.files.append(doc)

    def add(self, path, d):
        if d['meta'] == 'command':
            known, dest = [c['name'] for c in self.commands], self.commands
        elif d['meta'] == 'event':
            known, dest = [e['name'] for e in self.events], self.events
        else:
            known, dest = list(self.types) + list(BUILTINS), None
        if d['name'] in known:
            raise SchemaError(f'{path}: {d["name"]} is defined twice')
        if dest is None:
            self.types[d['name']] = d
        else:
            dest.append(d)

    def expand(self, d):
        """Fills in what comes from the option table; brings values into one form."""
        source = d.get('from-options')
        if source and d['meta'] == 'enum':
            d['values'] = self.options[source]
        elif source:
            d['members'] = [self.option_member(p) for p in self.options[source]]
        if d['meta'] == 'enum':
            d['values'] = [{'name': v, 'doc': ''} if isinstance(v, str) else v
                           for v in d['values']]

    def option_member(self, p):
        kind = p['type']
        if kind == 'str':
            kind = 'StrOrNull'
        elif kind == 'enum':
            kind = ''.join(w.capitalize() for w in p['name'].split('-'))
            if kind not in self.types:
                self.types[kind] = {
                    'meta': 'enum', 'name': kind, 'since': p['since'], 'doc': p['doc'],
                    'values': [{'name': w, 'doc': ''} for w in p['words']]}
        return {'name': p['name'], 'type': kind, 'optional': True, 'doc': option_doc(p)}

    def members(self, d):
        return d.get('members') or d.get('base') or []

    def type_exists(self, where, t):
        if isinstance(t, list):
            if len(t) != 1:
                raise SchemaError(f'{where}: an array type is a list of one type')
            t = t[0]
        if t not in BUILTINS and t not in self.types:
            raise SchemaError(f'{where}: unknown type {t}')

    def check_members(self, where, members):
        seen = set()
        for m in members:
            if set(m) - {'name', 'type', 'optional', 'doc'} or not m.get('doc'):
                raise SchemaError(f'{where}: member {m}: name, type, optional, doc are allowed')
            if m['name'] in seen:
                raise SchemaError(f'{where}: member {m["name"]} twice')
            seen.add(m['name'])
            self.type_exists(f'{where}.{m["name"]}', m['type'])

    def check(self, d):
        where = d['name']
        self.check_members(where, self.members(d))
        if d['meta'] == 'union':
            tag = [m for m in d['base'] if m['name'] == d['discriminator']]
            values = [v['name'] for v in self.types[tag[0]['type']]['values']] if tag else []
            if set(d['variants']) - set(values) or not values:
                raise SchemaError(f'{where}: discriminator must be an enum with the variants')
            for t in d['variants'].values():
                if self.types.get(t, {}).get('meta') not in ('struct', 'union'):
                    raise SchemaError(f'{where}: variant {t} must be a struct or union')
        elif d['meta'] == 'alternate':
            for t in d['types']:
                self.type_exists(where, t)
        elif d['meta'] == 'command':
            args = d.get('args', [])
            if isinstance(args, str):
                self.type_exists(where, args)
            else:
                self.check_members(where, args)
            if 'returns' in d:
                self.type_exists(where, d['returns'])


def option_doc(p):
    text = p['doc']
    if p['type'] in ('uint8', 'uint64', 'size'):
        unit = p['unit'].strip()
        top = '' if p['max'] >= 2**64 - 1 else f' to {p["max"]}'
        text += f' Range {p["min"]}{top}' + ('' if top else ' and up') + \
                (f' {unit}' if unit else '') + f', default {p["default"]}.'
    elif p['type'] == 'bool':
        text += f' Default {"true" if p["default"] else "false"}.'
    elif p['type'] == 'enum':
        text += f' Default {p["words"][p["default"]]}.'
    return text


# ---- C tables ----

HEADER = '/* SPDX-License-Identifier: GPL-2.0-or-later */\n' \
         '/* Made by scripts/qapi-gen.py from the schema in qapi/: edit that instead. */\n'


class CTables:
    """Prints the tables that qapi/qapi.h declares."""

    def __init__(self, schema):
        self.schema = schema
        self.out = [HEADER, '#include "qapi.h"\n']
        self.arrays = {}
        self.objects = {}  # anonymous argument objects: C name -> members

    def ref(self, t):
        if isinstance(t, list):
            name = f'qapi_array_{c_name(t[0])}'
            self.arrays[name] = t[0]
            return '&' + name
        return f'&qapi_type_{c_name(t)}'

    def args_ref(self, name, members):
        if isinstance(members, str):
            return self.ref(members)
        if not members:
            return '&qapi_empty'
        anon = f'qapi_args_{c_name(name)}'
        self.objects[anon] = members
        return '&' + anon

    def member_table(self, cname, members):
        self.out.append(f'static const QapiMember {cname}_members[] = {{')
        for m in members:
            self.out.append(f'    {{{c_string(m["name"])}, {self.ref(m["type"])}, '
                            f'{"true" if m.get("optional") else "false"}}},')
        self.out.append('};')

    def object(self, cname, name, members, extra='', static=True):
        if members:
            self.member_table(cname, members)
        fields = f'.kind = QAPI_OBJECT, .name = {c_string(name)}'
        if members:
            fields += f', .members = {cname}_members, .nr_members = {len(members)}'
        self.out.append(f'{"static " if static else ""}const QapiType {cname} = '
                        f'{{{fields}{extra}}};\n')

    def type(self, d):
        cname = f'qapi_type_{c_name(d["name"])}'
        if d['meta'] == 'enum':
            words = ', '.join(c_string(v['name']) for v in d['values'])
            self.out.append(f'static const char *const {cname}_words[] = {{{words}, NULL}};')
            self.out.append(f'const QapiType {cname} = {{.kind = QAPI_ENUM, .name = '
                            f'{c_string(d["name"])}, .words = {cname}_words}};\n')
        elif d['meta'] == 'struct':
            self.object(cname, d['name'], d['members'], static=False)
        else:
            cases = d['types'] if d['meta'] == 'alternate' else list(d['variants'])
            self.out.append(f'static const QapiVariant {cname}_variants[] = {{')
            for c in cases:
                t = c if d['meta'] == 'alternate' else d['variants'][c]
                self.out.append(f'    {{{c_string(c)}, {self.ref(t)}}},')
            self.out.append('};')
            extra = f', .variants = {cname}_variants, .nr_variants = {len(cases)}'
            if d['meta'] == 'alternate':
                self.out.append(f'const QapiType {cname} = {{.kind = QAPI_ALTERNATE, .name = '
                                f'{c_string(d["name"])}{extra}}};\n')
            else:
                self.object(cname, d['name'], d['base'],
                            f', .tag = {c_string(d["discriminator"])}{extra}', static=False)

    def render(self):
        s = self.schema
        for name, (kind, _json, low, high, says) in BUILTINS.items():
            low = 'INT64_MIN' if low == -2**63 else str(low)
            high = 'INT64_MAX' if high >= 2**63 - 1 else str(high)
            self.out.append(f'const QapiType qapi_type_{name} = {{.kind = QAPI_{kind}, .name = '
                            f'"{name}", .min = {low}, .max = {high}, .says = "{says}"}};')
        self.out.append('const QapiType qapi_empty = {.kind = QAPI_OBJECT, .name = "empty"};\n')
        body_start = len(self.out)
        for d in s.types.values():
            self.type(d)
        commands = [self.command(c) for c in s.commands]
        events = [f'    {{{c_string(e["name"])}, '
                  f'{self.args_ref("event_" + e["name"], e.get("members", []))}}},'
                  for e in s.events]
        for name, members in self.objects.items():
            self.object(name, name, members)
        self.out += ['const QapiCommand qapi_commands[] = {', *commands, '    {NULL},', '};\n']
        self.out += ['const QapiEvent qapi_events[] = {', *events, '    {NULL},', '};']
        arrays = [f'static const QapiType {n} = {{.kind = QAPI_ARRAY, .name = "[{t}]", '
                  f'.element = {self.ref(t)}}};' for n, t in self.arrays.items()]
        forward = [f'extern const QapiType qapi_type_{c_name(n)};' for n in s.types]
        self.out[body_start:body_start] = forward + arrays + ['']
        return '\n'.join(self.out) + '\n'

    def command(self, c):
        ret = self.ref(c['returns']) if 'returns' in c else '&qapi_empty'
        args = self.args_ref(c['name'], c.get('args', []))
        oob = 'true' if c.get('oob') else 'false'
        return f'    {{{c_string(c["name"])}, {args}, {ret}, {oob}}},'


def handlers_h(schema):
    lines = [HEADER, '#ifndef QMP_HANDLERS_H', '#define QMP_HANDLERS_H', '',
             '#include "qmp-call.h"', '']
    lines += [f'bool qmp_{c_name(c["name"])}(QmpCall *call, GError **errp);'
              for c in schema.commands]
    lines += ['', '/* In the order of qapi_commands. */', 'extern const QmpHandler qmp_handlers[];',
              '', '#endif', '']
    return '\n'.join(lines)


def handlers_c(schema):
    lines = [HEADER, '#include "qmp-handlers.h"', '', 'const QmpHandler qmp_handlers[] = {']
    lines += [f'    qmp_{c_name(c["name"])},' for c in schema.commands]
    return '\n'.join(lines + ['    NULL,', '};', ''])


# ---- introspection ----

class Introspection:
    """The reply of query-qmp-schema. Types are numbered in the order in which they are met."""

    def __init__(self, schema):
        self.schema = schema
        self.entries = []
        self.numbers = {}

    def name_of(self, t):
        if isinstance(t, list):
            name = f'[{self.name_of(t[0])}]'
            if name not in self.numbers:
                self.numbers[name] = name
                self.entries.append({'name': name, 'meta-type': 'array',
                                     'element-type': self.name_of(t[0])})
            return name
        if t in BUILTINS:
            name = 'int' if BUILTINS[t][1] == 'int' else t
            if name not in self.numbers:
                self.numbers[name] = name
                self.entries.append({'name': name, 'meta-type': 'builtin',
                                     'json-type': BUILTINS[t][1]})
            return name
        if t not in self.numbers:
            self.numbers[t] = str(len(self.numbers))
            self.define(self.numbers[t], self.schema.types[t])
        return self.numbers[t]

    def members(self, members):
        out = []
        for m in members:
            e = {'name': m['name'], 'type': self.name_of(m['type'])}
            if m.get('optional'):
                e['default'] = None
            out.append(e)
        return out

    def object(self, key, members):
        if isinstance(members, str):
            return self.name_of(members)
        key = key if members else ''
        if key not in self.numbers:
            self.numbers[key] = str(len(self.numbers))
            e = {'name': self.numbers[key], 'meta-type': 'object', 'members': []}
            self.entries.append(e)
            e['members'] = self.members(members)
        return self.numbers[key]

    def define(self, number, d):
        e = {'name': number, 'meta-type': d['meta']}
        self.entries.append(e)
        if d['meta'] == 'enum':
            e['members'] = [{'name': v['name']} for v in d['values']]
            e['values'] = [v['name'] for v in d['values']]
        elif d['meta'] == 'alternate':
            e['members'] = [{'type': self.name_of(t)} for t in d['types']]
        else:
            e['meta-type'] = 'object'
            e['members'] = self.members(self.schema.members(d))
            if d['meta'] == 'union':
                e['tag'] = d['discriminator']
                tag = [m for m in d['base'] if m['name'] == d['discriminator']][0]['type']
                e['variants'] = [
                    {'case': v['name'],
                     'type': self.name_of(d['variants'][v['name']]) if v['name'] in d['variants']
                     else self.object('', [])}
                    for v in self.schema.types[tag]['values']]

    def build(self):
        commands = []
        for c in self.schema.commands:
            e = {'name': c['name'], 'meta-type': 'command',
                 'arg-type': self.object('args ' + c['name'], c.get('args', [])),
                 'ret-type': self.name_of(c['returns']) if 'returns' in c
                 else self.object('', [])}
            if c.get('oob'):
                e['allow-oob'] = True
            commands.append(e)
        events = [{'name': e['name'], 'meta-type': 'event',
                   'arg-type': self.object('event ' + e['name'], e.get('members', []))}
                  for e in self.schema.events]
        return commands + events + self.entries


def introspection_c(schema):
    text = json.dumps(Introspection(schema).build(), separators=(',', ':'))
    lines = [HEADER, '#include "qapi.h"', '', 'const char qapi_introspection[] =']
    lines += ['    ' + c_string(text[i:i + 80]) for i in range(0, len(text), 80)]
    return '\n'.join(lines) + ';\n'


# ---- reference manual ----

class Reference:
    """The QMP reference as reStructuredText."""

    def __init__(self, schema):
        self.schema = schema
        self.out = ['.. SPDX-License-Identifier: GPL-2.0-or-later',
                    '.. Made by scripts/qapi-gen.py from qapi/*.json and '
                    'include/migration/options.def.', '']

    def heading(self, text, line):
        self.out += [text, line * len(text), '']

    def type_text(self, t):
        if isinstance(t, list):
            return f'array of {self.type_text(t[0])}'
        return f'``{t}``' if t in BUILTINS else f':ref:`{t} <qmp-type-{t}>`'

    def member_list(self, members):
        for m in members:
            note = ', optional' if m.get('optional') else ''
            self.out += [f'``{m["name"]}`` ({self.type_text(m["type"])}{note})',
                         f'    {m["doc"]}', '']

    def definition(self, d):
        meta = {'struct': 'object', 'union': 'object'}.get(d['meta'], d['meta'])
        prefix = d['meta'] if d['meta'] in ('command', 'event') else 'type'
        self.out += [f'.. _qmp-{prefix}-{d["name"]}:', '']
        self.heading(f'{d["name"]} ({meta})', '-')
        self.out += [d['doc'], '', f'Since QEMU {d["since"]}.' if 'since' in d else '', '']
        if d['meta'] == 'enum':
            for v in d['values']:
                since = f' Since {v["since"]}.' if v.get('since') else ''
                self.out += [f'* ``{v["name"]}``' + (f': {v["doc"]}{since}' if v['doc'] else '')]
            self.out.append('')
        elif d['meta'] == 'alternate':
            self.out += ['One of: ' + ', '.join(self.type_text(t) for t in d['types']) + '.', '']
        elif d['meta'] == 'command':
            args = d.get('args', [])
            if isinstance(args, str):
                self.out += [f'Arguments: the members of {self.type_text(args)}.', '']
            elif args:
                self.out += ['Arguments:', '']
                self.member_list(args)
            if 'returns' in d:
                self.out += [f'Returns: {self.type_text(d["returns"])}.', '']
        else:
            self.member_list(self.schema.members(d))
            for value, t in d.get('variants', {}).items():
                self.out += [f'* if ``{d["discriminator"]}`` is ``{value}``: the members of '
                             f'{self.type_text(t)}']
            self.out.append('')

    def render(self):
        self.heading('QMP reference', '=')
        self.out += ['Every command, event and type of the machine protocol. '
                     '``query-qmp-schema`` returns the same in a form for programs.', '']
        shown = set()
        for doc in self.schema.files:
            self.heading(doc['title'], '~')
            self.out += [doc['doc'], '']
            for d in doc['definitions']:
                shown.add(d['name'])
                self.definition(d)
        rest = [d for d in self.schema.types.values() if d['name'] not in shown]
        if rest:
            self.heading('Words of migration parameters', '~')
            for d in rest:
                self.definition(d)
        return '\n'.join(self.out) + '\n'


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--options', required=True, help='what options-dump printed')
    p.add_argument('--tables', help='write qapi-tables.c here')
    p.add_argument('--introspection', help='write qapi-introspection.c here')
    p.add_argument('--handlers-h', help='write qmp-handlers.h here')
    p.add_argument('--handlers-c', help='write qmp-handlers.c here')
    p.add_argument('--reference', help='write the manual here')
    p.add_argument('schema', nargs='+')
    a = p.parse_args()
    try:
        with open(a.options, encoding='utf-8') as f:
            schema = Schema(a.schema, json.load(f))
    except SchemaError as e:
        sys.exit(f'qapi-gen: {e}')
    for path, make in ((a.tables, lambda s: CTables(s).render()),
                       (a.introspection, introspection_c), (a.handlers_h, handlers_h),
                       (a.handlers_c, handlers_c), (a.reference, lambda s: Reference(s).render())):
        if path:
            with open(path, 'w', encoding='utf-8') as f:
                f.write(make(schema))


if __name__ == '__main__':
    main()
