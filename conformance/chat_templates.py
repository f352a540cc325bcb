"""Writes crates/collimate-data/tests/fixtures/template/golden.json: what transformers renders.

Three parts: `constructs`, one small template for each construct of the language; `renders`, the
built-in templates and templates written for this test, over conversations; and for all of them the
positions of what `{% generation %}` blocks wrote, in characters.

transformers 5.23.0, jinja2 3.1.6 (requirements.txt). Run from the repository's root:

    python conformance/chat_templates.py
"""

import json
from pathlib import Path

import jinja2
import transformers
from transformers.utils.chat_template_utils import render_jinja_template

ROOT = Path(__file__).resolve().parent.parent / "crates" / "collimate-data"
OUT = ROOT / "tests" / "fixtures" / "template" / "golden.json"

VARIABLES = {'text': '  Hello, World — été 漢字 \n',
 'word': 'chat',
 'empty': '',
 'n': 7,
 'neg': -3,
 'f': 0.5,
 'big': 1e+22,
 'whole': 2.0,
 't': True,
 'nothing': None,
 'items': ['b', 'a', 'C', 'a'],
 'numbers': [3, 1, 2, 3],
 'mixed': [1, 'x', None, True, 2.5, ['q'], {'k': 'v'}],
 'point': {'z': 1, 'a': 'two', 'items': [1, 2], 'nested': {'deep': {'er': 'x'}}},
 'people': [{'name': 'Ann', 'age': 3, 'tags': {'x': 1}},
            {'name': 'bob', 'age': 2, 'tags': {'x': 2}},
            {'name': 'Cyd', 'tags': {'x': 1}}],
 'html': '<b>&"\'</b>',
 'quote': 'it\'s "q"'}

CONSTRUCTS = r"""
{{ none }}
{{ nothing }}
{{ true }} {{ false }} {{ True }} {{ False }} {{ None }}
{{ missing }}
{{ missing.attr }}
{{ missing['x'] }}
{{ missing() }}
{{ missing + 1 }}
{{ 1 + missing }}
{{ missing ~ 'a' }}
{{ missing == missing }}{{ missing == none }}{{ missing != 1 }}
{{ missing < 1 }}
{{ missing|length }}
{{ 'a' in missing }}
{{ missing in ['a'] }}
{{ missing in [missing] }}
{% for x in missing %}x{% else %}none{% endfor %}
{{ missing is iterable }}{{ missing is sequence }}{{ missing is mapping }}{{ missing is string }}
{{ nothing is iterable }}{{ nothing is sequence }}{{ nothing is mapping }}{{ nothing is none }}{{ nothing is defined }}
{{ nothing|length }}
{% for x in nothing %}{% endfor %}
{{ 'a' in nothing }}
{{ nothing.foo }}
{{ nothing.foo.bar }}
{{ nothing['foo'] }}
{{ nothing[0] }}
{{ nothing[:2] }}
{{ nothing + 'a' }}
{{ nothing ~ 'a' }}
{{ nothing|string }}|{{ nothing|upper }}
{{ nothing|trim }}
{{ nothing|default('d') }}|{{ nothing|default('d', true) }}|{{ missing|default('d') }}|{{ missing|d }}
{{ nothing|first }}
{{ nothing|list }}
{{ nothing|join(',') }}
{{ nothing|tojson }}
{{ missing|tojson }}
{{ missing|trim }}|{{ missing|upper }}|{{ missing|list }}|{{ missing|first }}|{{ missing|join(',') }}
{{ missing|map('upper')|list }}
{{ missing|selectattr('x')|list }}
{{ missing.strip() }}
{{ nothing.strip() }}
{{ word.nope }}|{{ word['nope'] }}|{{ n.nope }}|{{ point.nope }}|{{ point['nope'] }}
{{ word.nope() }}
{{ word.nope.x }}
{{ point.nope.x }}
{{ point['items'] }}
{{ point.items() | list }}
{{ point.keys() | list }} {{ point.values() | list }}
{{ point.keys() }}
{{ point.items() }}
{{ point.values() }}
{{ point.get('a') }} {{ point.get('q') }} {{ point.get('q', 'dd') }}
{{ point.get is defined }} {{ point.q is defined }} {{ point.keys is defined }}
{{ point.z }} {{ point['z'] }} {{ point.nested.deep.er }} {{ point.nested['deep']['er'] }}
{{ point.update({'x': 1}) }}
{{ point.pop('z') }}
{{ point.setdefault('z', 1) }}
{{ point.clear() }}
{{ point.copy() }}
{{ items.append('x') }}
{{ items.insert(0, 'x') }}
{{ items.extend([]) }}
{{ items.sort() }}
{{ items.reverse() }}
{{ items.pop() }}
{{ items.remove('a') }}
{{ items.index('a') }} {{ items.count('a') }}
{{ items.index('zz') }}
{{ items.copy() }}
{{ items }}
{{ mixed }}
{{ point }}
{{ quote }} {{ [quote] }} {{ ["a'b", 'a"b', 'a\nb\tc\\d\x00\x7f\u00e9\u200b'] }}
{{ (1, 'a') }} {{ (1,) }} {{ () }} {{ [] }} {{ {} }}
{{ [1, 2, 3][0] }} {{ [1, 2, 3][-1] }} {{ [1, 2, 3][5] }} {{ [1, 2, 3][1:] }} {{ [1, 2, 3][::-1] }} {{ [1, 2, 3][:-1] }}
{{ numbers[0:2] }} {{ numbers[::2] }} {{ numbers[-2:] }} {{ numbers[5:] }} {{ numbers[-10:2] }} {{ numbers[2:0:-1] }} {{ numbers[-1:-3:-1] }} {{ numbers[:1:-1] }}
{{ numbers['0'] }}
{{ numbers[true] }}
{{ numbers[::0] }}
{{ word[0] }} {{ word[-1] }} {{ word[9] }} {{ word[1:3] }} {{ word[::-1] }} {{ word[:-1] }} {{ word[-2:] }} {{ word[3:1] }} {{ text[2:7] }}
{{ (1, 2, 3)[1] }} {{ (1, 2, 3)[:2] }}
{{ items.0 }} {{ items.3 }} {{ items.9 }}
{% for c in 'abc' %}{{ c }}-{% endfor %}
{% for k in point %}{{ k }},{% endfor %}
{% for k, v in point.items() %}{{ k }}={{ v }};{% endfor %}
{% for a, b in [[1, 2], (3, 4)] %}{{ a }}{{ b }} {% endfor %}
{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}
{% for x in 5 %}{% endfor %}
{{ 1 + 2 }} {{ 1 - 2 }} {{ 2 * 3 }} {{ 7 / 2 }} {{ 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 ** 3 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }}
{{ 7.0 // 2 }} {{ 7.5 % 2 }} {{ -7.5 // 2 }} {{ 1.5 + 1 }} {{ true + 1 }} {{ true * 3 }} {{ -true }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 1.0 / 0 }}
{{ 'a' + 1 }}
{{ 'a' + 'b' }} {{ 'a' * 3 }} {{ 3 * 'a' }} {{ 'a' * -1 }} {{ [1] * 2 }} {{ [1] + [2] }} {{ (1,) + (2,) }}
{{ [1] + 'a' }}
{{ [1] + (2,) }}
{{ 'a' - 'b' }}
{{ {} + {} }}
{{ 2 ** 100 }}
{{ 9223372036854775807 + 1 }} {{ 123456789012345678901234567890 }}
{{ 1 ~ 2 ~ 'x' ~ none ~ true ~ 1.5 ~ [1, 'a'] ~ {'a': none} }}
{{ 0.1 + 0.2 }} {{ 1e16 }} {{ 1e15 }} {{ 123456789.123 }} {{ 1e-5 }} {{ 0.0001 }} {{ big }} {{ whole }} {{ f }} {{ 1e300 * 1e10 }} {{ -0.0 }} {{ 100000.0 }} {{ 1.0e22 }} {{ 5e-324 }} {{ 1.7976931348623157e308 }}
{{ 1 < 2 }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 'a' }} {{ none == none }} {{ [1] == (1,) }} {{ {'a': 1} == {'a': 1.0} }} {{ 1 == '1' }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ [1] < 2 }}
{{ {} < {} }}
{{ 1 in [1, 2] }} {{ 'a' in 'cat' }} {{ 'z' not in point }} {{ 'a' in point.keys() }} {{ '' in 'abc' }} {{ none in [none] }} {{ 1.0 in [1] }} {{ 'x' in ('x', 'y') }}
{{ 1 in 'abc' }}
{{ 1 in 5 }}
{{ not true }} {{ not '' }} {{ not none }} {{ not [] }} {{ not 0 }} {{ not 0.0 }} {{ not {} }} {{ not missing }} {{ not not 'x' }}
{{ 'a' and 'b' }} {{ '' and 'b' }} {{ '' or 'b' }} {{ none or '' or 0 }} {{ missing or 'm' }} {{ 1 and missing }}
{{ 'yes' if t else 'no' }} {{ 'yes' if not t }} {{ ('yes' if false) is defined }} {{ 'a' if false else 'b' if false else 'c' }}
{{ ('x' if false).y }}
{{ not 1 == 2 }} {{ 1 == 2 or 3 }} {{ 2 + 3 * 4 ** 2 }} {{ -2 ** 2 }} {{ (1 + 2) * 3 }} {{ 'a' ~ 1 + 2 }} {{ 10 - 2 - 3 }} {{ 2 ** 3 ** 2 }} {{ 1 if 0 else 2 + 1 }}
{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(2) }} {{ n is number }} {{ f is float }} {{ n is integer }} {{ t is integer }} {{ t is boolean }} {{ t is true }} {{ t is false }} {{ 1 is true }} {{ t is number }} {{ f is number }} {{ nothing is number }} {{ word is string }} {{ point is mapping }} {{ items is sequence }} {{ word is sequence }} {{ point is sequence }} {{ n is sequence }} {{ word is iterable }} {{ point is iterable }} {{ n is iterable }} {{ (1, 2) is sequence }}
{{ word is lower }} {{ word is upper }} {{ n is eq 7 }} {{ n is equalto 7 }} {{ n is == 7 }} {{ n is ne 7 }} {{ n is gt 3 }} {{ n is lt 3 }} {{ n is ge 7 }} {{ n is le 7 }} {{ n is greaterthan 3 }} {{ n is lessthan 3 }} {{ n is in [7] }} {{ n is not in [7] }} {{ n is sameas n }} {{ none is sameas none }} {{ word is not string }} {{ range is callable }} {{ n is callable }} {{ point.get is callable }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ 'nope' is filter }} {{ word is escaped }}
{{ n is nope }}
{{ n|nope }}
{% if false %}{{ n|nope }}{% endif %}ok
{% if false %}{{ n is nope }}{% endif %}ok
{{ nope(1) }}
{{ n() }}
{{ text.strip() }}|{{ text.lstrip() }}|{{ text.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'xyaxy'.lstrip('xy') }}|{{ 'xyaxy'.rstrip('yx') }}|{{ text.strip(none) }}|
{{ text.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b  c'.split(none, 1) }} {{ ' a  b '.split(' ') }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a-b-c'.rsplit('-', 1) }} {{ ' a b '.rsplit() }} {{ ' a b c '.rsplit(none, 1) }} {{ 'a,b,c'.split(sep=',', maxsplit=1) }} {{ 'a,b,c'.split(',')[-1] }} {{ 'aXbXc'.split('X')[0] }} {{ 'a b'.split(maxsplit=1) }}
{{ 'abc'.split('') }}
{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }}
{{ word.startswith('ch') }} {{ word.startswith(('x', 'c')) }} {{ word.endswith('at') }} {{ word.endswith(('x', 'y')) }} {{ word.startswith('h', 1) }} {{ word.startswith('') }} {{ word.endswith('ha', 0, 3) }}
{{ word.startswith(1) }}
{{ word.startswith(['c']) }}
{{ word.upper() }} {{ 'ÀÉß'.lower() }} {{ 'straße'.upper() }} {{ 'hello wORLD they\'re'.title() }} {{ 'hELLO wORLD'.capitalize() }} {{ 'aBc'.swapcase() }} {{ 'ß'.casefold() }}
{{ word.replace('c') }}
{{ word.replace(1, 2) }}
{{ ','.join(['a', 'b']) }} {{ ''.join('abc') }} {{ '-'.join(('a', 'b')) }} {{ ','.join(point) }} {{ ','.join(x for x in items) }}
{{ ','.join([1, 2]) }}
{{ word.find('a') }} {{ word.find('z') }} {{ word.rfind('t') }} {{ word.index('a') }} {{ word.count('a') }} {{ 'été'.find('t') }} {{ word.find('a', 3) }} {{ 'aaaa'.count('aa') }} {{ 'abab'.rindex('b') }}
{{ word.index('zz') }}
{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'A'.isupper() }} {{ 'a'.islower() }} {{ ''.isdigit() }} {{ '½'.isnumeric() }} {{ '12'.isdecimal() }} {{ 'Ab Cd'.istitle() }} {{ 'a_b'.isidentifier() }} {{ 'a'.isascii() }}
{{ 'ab'.center(6) }}|{{ 'ab'.ljust(5, '.') }}|{{ 'ab'.rjust(5) }}|{{ '7'.zfill(3) }}|{{ '-7'.zfill(4) }}|{{ 'abc'.center(6, '*') }}|{{ 'abcd'.center(7, '*') }}|
{{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('-') }} {{ 'abc'.rpartition('-') }}
{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x-suffix'.removesuffix('-suffix') }} {{ 'a\tb'.expandtabs(4) }} {{ 'a\tb'.expandtabs() }}
{{ '{} and {}'.format('a', 1) }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x}'.format(x=1) }} {{ '{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c') }} {{ '{:.2f}'.format(3.14159) }} {{ '{:05d}'.format(42) }} {{ '{!r}'.format('a') }} {{ '{{}}'.format() }} {{ '{:,}'.format(1234567) }}
{{ '{}'.format() }}
{{ '%s is %d' % ('x', 5) }} {{ '%s' % 'a' }} {{ '%5.2f|' % 3.14159 }} {{ '%05d' % 42 }} {{ '%-5s|' % 'a' }} {{ '%%' % () }} {{ '%x' % 255 }} {{ '%s' % [1, 'a'] }} {{ '%r' % 'a' }} {{ '%(a)s' % {'a': 1} }} {{ '%s' % none }}
{{ '%s' % (1, 2) }}
{{ '%d' % 'x' }}
{{ text|trim }}|{{ 'xxaxx'|trim('x') }}|{{ n|trim }}
{{ text|upper }} {{ 'HeLLo'|lower }} {{ 'hello wORLD it\'s a-b (c)'|title }} {{ 'hELLO wORLD'|capitalize }} {{ n|upper }}
{{ items|length }} {{ word|length }} {{ point|length }} {{ 'été'|length }} {{ items|count }} {{ (1, 2)|length }}
{{ n|length }}
{{ items|first }} {{ items|last }} {{ []|first }} {{ []|last }} {{ word|first }} {{ word|last }} {{ point|first }}
{{ n|first }}
{{ items|join }} {{ items|join(', ') }} {{ mixed|join('|') }} {{ people|join(', ', attribute='name') }} {{ word|join('-') }} {{ point|join(',') }}
{{ items|reverse|list }} {{ word|reverse }} {{ (1, 2)|reverse|list }} {{ point|reverse|list }}
{{ n|reverse }}
{{ items|sort }} {{ items|sort(case_sensitive=true) }} {{ items|sort(reverse=true) }} {{ numbers|sort }} {{ people|sort(attribute='name')|map(attribute='name')|list }} {{ people|sort(attribute='name', reverse=true)|map(attribute='name')|list }}
{{ mixed|sort }}
{{ people|sort(attribute='age') }}
{{ items|unique|list }} {{ items|unique(case_sensitive=true)|list }} {{ numbers|unique|list }} {{ people|unique(attribute='tags.x')|map(attribute='name')|list }}
{{ items|list }} {{ 'abc'|list }} {{ point|list }} {{ range(3)|list }}
{{ items|map('upper')|list }} {{ people|map(attribute='name')|list }} {{ people|map(attribute='age', default=0)|list }} {{ people|map(attribute='tags.x')|join(',') }} {{ items|map('replace', 'a', 'z')|list }} {{ items|map('default', 'q')|join }}
{{ people|map(attribute='age')|list }}
{{ people|map(attribute='age')|join(',') }}
{{ items|map('upper') is iterable }} {{ items|map('upper') is sequence }}
{{ items|map('nope')|list }}
{{ items|select('equalto', 'a')|list }} {{ numbers|select('odd')|list }} {{ numbers|reject('odd')|list }} {{ mixed|select|list }} {{ mixed|reject|list }} {{ mixed|select('string')|list }} {{ numbers|select('gt', 2)|list }} {{ numbers|select('in', [1, 2])|list }}
{{ people|selectattr('age')|map(attribute='name')|list }} {{ people|selectattr('age', 'defined')|list|length }} {{ people|selectattr('name', 'equalto', 'bob')|list }} {{ people|rejectattr('age', 'defined')|map(attribute='name')|list }} {{ people|selectattr('tags.x', 'eq', 1)|map(attribute='name')|join }} {{ people|selectattr('age', '>', 2)|list }}
{{ people|selectattr('name', 'nope')|list }}
{{ people|rejectattr('age', 'undefined')|map(attribute='name')|first }} {{ (people|selectattr('name', 'equalto', 'bob')|first).age }} {{ people|selectattr('name', 'in', ['Ann', 'Cyd'])|map(attribute='name')|list|last }}
{{ items|select('equalto', 'a')|length }}
{% set g = items|select('equalto', 'a') %}{{ g|list }}{{ g|list }}
{% set g = items|map('upper') %}{% for x in g %}{{ x }}{{ loop.last }}{% endfor %}{{ g|list }}
{% if items|select('equalto', 'nope') %}truthy{% endif %}
{% for g in people|groupby('tags.x') %}{{ g.grouper }}:{{ g.list|map(attribute='name')|join('+') }};{% endfor %}
{% for k, v in people|groupby('age', default=0) %}{{ k }}={{ v|length }};{% endfor %}
{{ numbers|sum }} {{ people|sum(attribute='tags.x') }} {{ numbers|sum(start=10) }} {{ numbers|max }} {{ numbers|min }} {{ []|max }} {{ items|max }} {{ items|min(case_sensitive=true) }}
{{ items|sum }}
{{ 3.7|int }} {{ '42'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ '0x1f'|int(base=16) }} {{ '3.9'|int }} {{ '1.5'|float }} {{ 'x'|float }} {{ 'x'|float(2.5) }} {{ none|int }} {{ true|int }} {{ '  12 '|int }} {{ '1e3'|float }} {{ 3|float }} {{ ''|int }} {{ []|int }}
{{ -3|abs }} {{ neg|abs }} {{ -2.5|abs }} {{ 2.567|round(2) }} {{ 2.5|round }} {{ 3.5|round }} {{ 42|round }} {{ 2.1|round(0, 'ceil') }} {{ 2.9|round(method='floor') }} {{ 1234|round(-2) }} {{ 2.675|round(2) }} {{ 2.55|round(1, 'common') }}
{{ 'x'|abs }}
{{ 'x'|round }}
{{ numbers|batch(2)|list }} {{ numbers|batch(3, 'x')|list }} {{ numbers|slice(3)|list }} {{ numbers|slice(3, 'x')|list }}
{{ 'a\nb\n\nc'|indent }}|{{ 'a\nb'|indent(2, true) }}|{{ 'a\n\nb'|indent(2, blank=true) }}|{{ 'a\nb'|indent('> ') }}|{{ 'a\nb'|indent(width=1, first=true) }}
{{ point|dictsort }} {{ {'b': 1, 'A': 2}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ {'b': 1, 'A': 2}|dictsort(by='value') }} {{ {'b': 1, 'A': 2}|dictsort(reverse=true) }}
{{ point|items|list }} {{ missing|items|list }}
{{ items|items|list }}
{{ '%s - %s'|format('a', 1) }} {{ '%(x)s'|format(x=1) }} {{ [1, 2]|pprint }} {{ point|attr('z') }} {{ point|attr('keys') is defined }} {{ word|attr('upper')() }}
{{ 'x'|string }} {{ 1.0|string }} {{ [1]|string }} {{ none|string + 'x' }}
{{ point|tojson }}
{{ point|tojson(indent=2) }}
{{ mixed|tojson(indent=4) }} {{ []|tojson(indent=2) }} {{ {}|tojson(indent=2) }} {{ [[]]|tojson(indent=0) }} {{ [1, {'a': 2}]|tojson(indent='\t') }}
{{ point|tojson(separators=(',', ':')) }} {{ point|tojson(separators=(',', ': '), indent=1) }} {{ text|tojson(ensure_ascii=true) }} {{ '😀é'|tojson(ensure_ascii=true) }} {{ {'b': 1, 'a': {'d': 1, 'c': 2}}|tojson(sort_keys=true) }} {{ point|tojson(true) }}
{{ text|tojson(true) }}
{{ items|map('tojson')|join(', ') }} {{ range(3)|list|tojson }}
{{ range(3)|tojson }}
{{ (items|map('upper'))|tojson }}
{{ point.items()|tojson }}
{{ point|tojson|length }} {{ point|tojson|replace('"', "'") }} {{ (1e300 * 1e10)|tojson }}
{{ range(3) }} {{ range(1, 4)|list }} {{ range(5, 0, -2)|list }} {{ range(0)|list }} {{ range(3)[1] }} {{ range(10)[-1] }} {{ range(5)|length }} {{ 3 in range(5) }} {{ range(2, 5)[1:]|list }}
{{ range(1.5) }}
{{ range() }}
{{ range(10, 0)|list }}{{ range(0, 10, 0)|list }}
{{ range(100000000000) }}
{{ range(100001)|list|length }}
{{ 'abc'|list|length }}{{ dict(a=1, b=2) }} {{ dict([['x', 1]]) }} {{ dict({'a': 1}, b=2) }}
{% set ns = namespace(a=1, b='x') %}{{ ns.a }}{% set ns.a = ns.a + 1 %}{{ ns.a }}{{ ns.c }}{% set ns.c = [] %}{{ ns.c }}{{ ns.a is defined }}{{ ns.q is defined }}
{% set ns = namespace({'a': 1}) %}{{ ns.a }}{{ ns['a'] }}
{% set ns = namespace() %}{% for x in numbers %}{% set ns.last = x %}{% endfor %}{{ ns.last }}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set point.z = 3 %}
{% set undefd.z = 3 %}
{{ namespace(a=1) }}
{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
{% for i in [1] %}{% set inner = 5 %}{% endfor %}{{ inner is defined }}
{% for i in [1, 2] %}{% if loop.first %}{% set y = 'set' %}{% endif %}[{{ y }}]{% endfor %}
{% set x = 'outer' %}{% for x in [1, 2] %}{{ x }}{% endfor %}{{ x }}
{% for i in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {{ loop.previtem }}<{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(i // 2) }};{% endfor %}
{% for i in [1, 2] %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{{ loop.nope is defined }}{% endfor %}
{% for i in [1, 2, 3, 4] if i is even %}{{ i }}{{ loop.index }}{{ loop.length }}{{ loop.last }} {% else %}empty{% endfor %}
{% for i in [1, 3] if i is even %}{{ i }}{% else %}empty{% endfor %}
{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}|{% for i in [1, 2, 3] %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% else %}never{% endfor %}
{% for i in [1, 2] %}{% break %}{% else %}else ran{% endfor %}|
{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }} {% endif %}{% endfor %}
{% for i in [1, 2] %}{% for j in ['a', 'b'] %}{{ loop.index }}{{ j }}{% endfor %}{{ loop.index }}{% endfor %}
{% for i in [1, 2] %}{% set outer_loop = loop %}{% for j in [5, 6] %}{{ outer_loop.index }}{{ loop.index }} {% endfor %}{% endfor %}
{{ loop }}
{{ loop.index }}
{% macro m(a, b='dflt') %}[{{ a }}|{{ b }}]{% endmacro %}{{ m('x') }}{{ m('x', 'y') }}{{ m(b='q') }}{{ m(a='1', b=2) }}{{ m() }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}
{% set g = 'global' %}{% macro m() %}{{ g }}{{ word }}{{ late }}{% endmacro %}{% set late = 'L' %}{{ m() }}
{% macro fact(k) %}{% if k < 2 %}1{% else %}{{ k * fact(k - 1)|int }}{% endif %}{% endmacro %}{{ fact(5) }}
{% macro m() %}{{ caller() }}!{% endmacro %}{% call m() %}body {{ word }}{% endcall %}
{% macro m() %}{% for i in [1, 2] %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) m() %}<{{ x }}>{% endcall %}
{% macro m() %}  text  {% endmacro %}{{ m()|trim }}|{{ m() | length }}|{{ m().strip() }}|{{ m() == '  text  ' }}|{{ m() is string }}
{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}
{% for i in [1] %}{% macro inloop() %}{{ i }}{% endmacro %}{{ inloop() }}{% endfor %}
{% macro loopy() %}{{ loop is defined }}{% endmacro %}{% for i in [1] %}{{ loopy() }}{% endfor %}
{% set x %}block {{ word }}{% endset %}[{{ x }}]{% set y | upper %}b{% endset %}{{ y }}{{ x|length }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t2 = 1, 2 %}{{ t2 }}
{% set a, b = [1] %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% filter upper %}abc {{ word }}{% endfilter %}
{% raw %}{{ not }} {% parsed %}{% endraw %}
{# comment {{ x }} #}a{#- c -#} b
a  {%- if true -%}  b  {%- endif -%}  c
{{- ' x ' -}} y {{ 'z' }}
{%+ if true +%} x{% endif %}
{{ "double" }} {{ 'sin\'gle' }} {{ "a\tb\u00e9\x41\\n" }} {{ 'con' 'cat' }}
{{ 1_000 }} {{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 1.5e3 }} {{ 1_0.5 }}
{{ {'a': 1, 'b': [1, 2], 3: 4} }} {{ {'a': 1}['a'] }} {{ {'a': 1}.a }} {{ [1, 2,] }} {{ {'a': 1,} }}
{{ {[]: 1} }}
{{ {'a': 1}|tojson }}{{ {} == {} }}{{ '{' }}{{ "}}" }}{{ '%}' }}
{{ point.__class__ }}
{{ word.__class__.__mro__ }}
{{ word['__class__'] }}
{{ ''.__class__ is defined }}
{{ raise_exception('custom message') }}
{{ raise_exception('with ' ~ n) }}
{{ raise_exception() }}
{% do items.append(1) %}
{% include 'x' %}
{% import 'x' as y %}
{% from 'x' import y %}
{% extends 'x' %}
{% block b %}in block {{ word }}{% endblock %}
{% if %}{% endif %}
{% for %}{% endfor %}
{% if true %}
{{ 'unterminated }}
{{ 1 + }}
{% endif %}
{% unknown %}
{{ a b }}
{{ x = 1 }}
{% if n == 7 %}seven{% elif n == 8 %}eight{% else %}other{% endif %}{% if not n %}{% elif n > 3 %}big{% endif %}
{{ word|upper|lower|title }} {{ (word ~ 'x')|upper }} {{ word ~ 'x'|upper }} {{ -n|abs }} {{ not word|length }} {{ 'a' if word|length > 3 else 'b' }} {{ word.upper()|lower }} {{ word | replace("c", "k") | trim }}
{{ 'a' is defined and 'b' is string }} {{ not missing is defined }} {{ missing is not defined or false }} {{ (missing is defined) == false }} {{ n is defined and n > 3 }} {{ items is defined and items is not mapping }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner(', ') %}{{ j() }}x{{ j() }}y
{{ strftime_now('%Y') is string }}
{{ t is boolean and t }} {{ 1 is boolean }} {{ (1 > 0) is boolean }} {{ 'a'.isdigit() is boolean }}
{{ items|tojson|safe }} {{ word|default('x')|upper }} {{ point.a|default('q') }} {{ point.q|default('q') }} {{ point.q.r|default('q') }}
{{ items is eq ['b', 'a', 'C', 'a'] }} {{ point == point }} {{ 'a' == none }} {{ [] == none }} {{ '' == false }} {{ 0 == false }} {{ '1' == 1 }}
{{ 5 is in [1, 5] }} {{ 'k' in mixed[6] }} {{ mixed[5][0] }} {{ mixed[6].k }} {{ mixed[99] is defined }} {{ mixed[2] is none }}
{% for m in people %}{{ m.name }}{% if not loop.last %}, {% endif %}{% endfor %}
{%- for m in people -%}
  {{- m.name -}}
{%- endfor -%}
{% set parts = 'a</think>b'.split('</think>') %}{{ parts[0] }}{{ parts[-1].lstrip('\n') }}{{ parts|last }}
{% set content = point.a if point.a is string else '' %}{{ content }}{{ '</x>' in content }}
{{ people|map(attribute='name')|map('upper')|join(' ')|trim }} {{ people[0]['name'][0] }} {{ people[-1].name }} {{ people[1:]|length }} {{ (people|last)['name'] }}
{{ items|join(', ')|replace(', ', ' ') }}{{ '\n\n'.join(items) }}{{ items|sort|join }}
{{ '' | default('x', true) }}{{ 0 | default(5, boolean=true) }}{{ missing | default(value='v') }}{{ missing|default(none) }}{{ missing|default({})|length }}
{{ 10000000000000000000000 }} {{ -5 % 3 }} {{ 5 % -3 }} {{ 2.5 // 1 }} {{ 1 / 3 }} {{ 10 / 5 }} {{ 1e3|int }} {{ (7 / 2)|int }} {{ 7.9|int }} {{ -7.9|int }}
{{ 'aé漢😀'|length }} {{ 'aé漢😀'[::-1] }} {{ 'aé漢😀'[2] }} {{ 'É'.lower() }} {{ 'ǆ'.title() }} {{ 'İ'.lower()|length }} {{ 'ΑΣ'.lower() }}
{{ [3, 1]|sort|first }} {{ [[2, 'b'], [1, 'a']]|sort }} {{ ['b', 'a']|sort(false, true) }} {{ [none, 1]|select|list }} {{ [1, [2, 3]]|length }} {{ [1, 2]|last }}
{{ [none, 1]|sort }}
{{ 'x' ~ loop_missing ~ 'y' }} {{ 'x' ~ [] ~ {} ~ () }}
{{ t and not f }} {{ t & f }}
{{ 'a'|upper ~ 'b'|upper }} {{ ('a', 'b')|join('-') }} {{ 'abc'|reverse|upper }} {{ 'a,b'|replace(',', ';') }}
{{ word|length == 4 and 'x' or 'y' }} {{ 3 if word else 4 }} {{ n > 5 and n < 10 }} {{ 5 < n <= 7 }} {{ n >= 7 == true }}
{{ point|length > 2 }} {{ point.nested|length }} {{ 'deep' in point.nested }} {{ point.nested.items()|list|length }} {{ point['nested'].get('deep', {}).get('er') }} {{ point.get('nope', {}).get('er', 'dflt') }}
{% for k, v in point|dictsort %}{{ k }}{{ loop.index }}{% endfor %} {% for k, v in point|items %}{{ k }}{% endfor %} {% for i, x in enumerate(items) %}{% endfor %}
{% for x in items|reverse %}{{ x }}{{ loop.length }}{% endfor %}{% for x in items[::-1] %}{{ x }}{% endfor %}{% for x in items[1:] %}{{ x }}{% endfor %}{% for x in range(2, 4) %}{{ x }}{% endfor %}
{{ word.replace('c', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'ab'.replace('', '-') }} {{ 'aaa'.replace('a', 'b', -1) }}
{{ html|e }} {{ html|escape }} {{ html|safe }} {{ html|forceescape }} {{ html|e|length }}
{{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }} {{ 'foo bar baz'|truncate(9, false, '..', 0) }} {{ 'short'|truncate }} {{ 'foo bar baz'|wordcount }} {{ 'ab'|center(6) }}|
{{ 'abc'|replace('b', 'x') }} {{ 'aaa'|replace('a', 'b', 2) }} {{ 5|replace('5', '6') }}
{{ mixed|tojson }} {{ text|tojson }} {{ html|tojson }} {{ 1.0|tojson }} {{ big|tojson }} {{ 'a\u2028\x00\x1f\x7f\\/"'|tojson }} {{ true|tojson }} {{ (1, 2)|tojson }} {{ 1e-7|tojson }} {{ {1: 2, none: 3, 1.5: 5}|tojson }}
{{ macro_less is defined }}{% macro m(x) %}{% if x %}a{% endif %}{% endmacro %}{% if m(false) %}yes{% else %}no{% endif %}{{ m.name }}
{{ cycler is defined }} {{ joiner is defined }} {{ range is defined }} {{ dict is defined }} {{ namespace is defined }} {{ debug is defined }} {{ strftime_now is defined }} {{ tools is none }} {{ documents is none }} {{ bos_token is defined }}
""".strip("\n").split("\n") + [
    'a\n{% if true %}\n  b\n{% endif %}\nc\n',
    'a\n   {% if true %}   \n  b\n   {% endif %}\nc\n\n',
    "  {{ 'x' }}\n  {# comment #}\n  y\n",
    '{%- for x in [1,2] %}\n  {{ x }}\n{%- endfor %}\n\n',
    'line\r\n{% if true %}\r\nx\r\n{% endif %}\r\n',
    '{% set x = [\n 1,\n 2\n] %}{{ x }}\n',
    'x {%- if true %}\n y{% endif -%}\n\n z',
    '{% raw %}\n  {{ raw }}\n{% endraw %}\nz',
    '{%- raw -%}\n  {{ raw }}\n{%- endraw -%}\nz',
    'a {%+ if true %}b{% endif %} c',
    '   {%+ if true %}b{% endif %} c',
    '{% if true +%}\nb{% endif %}\n c',
    "{{ 'a' }}\n{{ 'b' -}}\n{{- 'c' }}\n",
    '{#- x -#}\n a {#+ y +#}\n b',
    'a\n\t {% set x = 1 %} b\n',
    '{% macro m() %}\n  in\n{% endmacro %}\n{{ m() }}|\n',
    '{% generation %}gen {{ word }}{% endgeneration %} after {% generation %}{{ n }}{% endgeneration %}',
    '{%- generation -%}  gen  {%- endgeneration -%}  x',
    '{% for x in [1,2] %}{% generation %}{{ x }}é{% endgeneration %}-{% endfor %}',
    '{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}{{ x }}',
    '{% set ns = namespace(v=1) %}{% generation %}{% set ns.v = 2 %}{{ ns.v }}{% endgeneration %}{{ ns.v }}',
    '{% for x in [1,2] %}{% generation %}{{ loop.index }}{{ loop.last }}{% endgeneration %}{% endfor %}',
    '{% for x in [1,2] %}{% generation %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endgeneration %}{% endfor %}',
    '{% macro m() %}{% generation %}in macro{% endgeneration %}{% endmacro %}a{{ m() }}b',
    '{% set x %}{% generation %}in set{% endgeneration %}{% endset %}a{{ x }}b',
    '{% generation %}a{% generation %}b{% endgeneration %}c{% endgeneration %}',
    '{% if true %}{%- generation %}\n x\n{%- endgeneration %}\n{% endif %}y',
]

TEMPLATES = {
    "no generation prompt": "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>\n{% endfor %}",
    "tools": (
        "{%- if tools %}{{ '<tools>\\n' }}{% for tool in tools %}{{ tool | tojson }}{{ '\\n' }}"
        "{% for name, p in tool.function.parameters.properties.items() %}{{ name }}: {{ p.type }}"
        "{% if p.enum is defined %} {{ p.enum | join('|') }}{% endif %};{% endfor %}{% endfor %}{% endif %}"
        "{% for m in messages %}[{{ m['role'] }}]{% if m.tool_calls is defined and m.tool_calls %}"
        "{% for call in m.tool_calls %}{% set call = call.function %}{{ call.name }}({% for k, v in call.arguments | items %}"
        "{{ k }}={{ v | tojson }}{% if not loop.last %}, {% endif %}{% endfor %}){% endfor %}"
        "{% elif m.content is string %}{% generation %}{{ m.content | trim }}{% endgeneration %}"
        "{% else %}{% for part in m.content %}{{ part.text if part.type == 'text' else '<' ~ part.type ~ '>' }}{% endfor %}"
        "{% endif %}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    ),
    "thinking": (
        "{%- set ns = namespace(last=-1) %}{% for m in messages[::-1] %}{% if m.role == 'user' and ns.last < 0 %}"
        "{% set ns.last = messages | length - 1 - loop.index0 %}{% endif %}{% endfor %}"
        "{% for m in messages %}<|{{ m.role }}|>{% set content = m.content %}{% if m.role == 'assistant' %}"
        "{% set thought = m.reasoning_content if m.reasoning_content is string else '' %}"
        "{% if '</think>' in content %}{% set thought = content.split('</think>')[0].split('<think>')[-1] %}"
        "{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
        "{% generation %}{% if loop.index0 > ns.last and thought %}<think>{{ thought.strip() }}</think>{% endif %}"
        "{{ content }}<|end|>{% endgeneration %}{% else %}{{ content }}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% if enable_thinking is defined and not enable_thinking %}"
        "<think></think>{% endif %}{% endif %}"
    ),
    "alternating": (
        "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate, not ' ~ m.role ~ ' at ' ~ loop.index) }}{% endif %}"
        "{{ m.role.upper() }}: {{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    ),
    "macros": (
        "{%- macro turn(role, content='(none)') -%}[{{ role | capitalize }}: {{ content }}]{%- endmacro -%}"
        "{%- macro all() -%}{% for m in messages %}{{ turn(m.role, m.content) if m.content else turn(m.role) }}{% endfor %}{%- endmacro -%}"
        "{{ all() }}{{ all() | length }}"
    ),
}

CONVERSATIONS = {
    "one": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}],
    "question": [{"role": "user", "content": "Hi"}],
    "system": [
        {"role": "system", "content": "Be brief.\n"},
        {"role": "user", "content": "What is 2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": " And 3+3? "},
        {"role": "assistant", "content": "\n6 "},
    ],
    "unicode": [
        {"role": "user", "content": "l'été — 漢字 😀 <b>&\"'</b>\n\n{{ x }} {% y %}"},
        {"role": "assistant", "content": "a <|im_end|> e\u0301 \u200b\u00a0"},
    ],
    "empty": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
    "white space": [{"role": "user", "content": " \n\t "}, {"role": "assistant", "content": "\u2003x\x1c"}],
    "none": [{"role": "user", "content": None}, {"role": "assistant", "content": "x"}],
    "thought": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "<think>first</think>\n\nHello"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "reasoning_content": "second ", "content": "Bye"},
    ],
    "twice user": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    "calls": [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is here?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"type": "function", "function": {"name": "look", "arguments": {"at": "é", "zoom": 1.0, "far": False}}}
            ],
        },
        {"role": "tool", "name": "look", "content": "a tree"},
        {"role": "assistant", "content": "A tree."},
    ],
    "none at all": [],
}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Looks at <something> & says what's there",
            "parameters": {
                "type": "object",
                "properties": {
                    "at": {"type": "string", "enum": ["é", "b"]},
                    "zoom": {"type": "number", "default": 1e-5},
                },
                "required": ["at"],
            },
        },
    }
]

SETTINGS = [
    {"add_generation_prompt": False},
    {"add_generation_prompt": True},
    {"add_generation_prompt": True, "tools": TOOLS, "enable_thinking": False},
]

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def rendered(source, messages, **settings):
    try:
        texts, spans = render_jinja_template(
            [messages], chat_template=source, return_assistant_tokens_mask=True, **settings
        )
    except jinja2.exceptions.TemplateError as error:
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"error": str(error)} if raised else {"error": None}
    except Exception:
        return {"error": None}
    return {"output": texts[0], "spans": spans[0]}


def main():
    built_in = {
        path.stem: path.read_text() for path in sorted((ROOT / "src" / "template" / "built_in").glob("*.jinja"))
    }
    messages = [{"role": "user", "content": "hi"}]
    constructs = [
        {"source": source, **rendered(source, messages, add_generation_prompt=False, **VARIABLES)}
        for source in CONSTRUCTS
    ]
    renders = []
    for name, source in {**built_in, **TEMPLATES}.items():
        for conversation, turns in CONVERSATIONS.items():
            for setting, settings in enumerate(SETTINGS):
                if setting == 2 and name in built_in:
                    continue
                result = rendered(source, turns, **settings, **TOKENS)
                renders.append({"template": name, "conversation": conversation, "setting": setting, **result})
    golden = {
        "made_with": f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}",
        "variables": VARIABLES,
        "tokens": TOKENS,
        "templates": TEMPLATES,
        "conversations": CONVERSATIONS,
        "settings": SETTINGS,
        "constructs": constructs,
        "renders": renders,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden, ensure_ascii=False, indent=0) + "\n")
    print(f"{len(constructs)} constructs, {len(renders)} renders")


if __name__ == "__main__":
    main()
