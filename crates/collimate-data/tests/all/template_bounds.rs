//! Templates that want more than a rendering may take: a named error each, within bounds.

use collimate_data::{ChatTemplate, DataError, Message, RenderOptions};

fn refused(source: &str) -> String {
    let turns = [Message::new("user", "hi")];
    let found = ChatTemplate::new("hostile", source)
        .and_then(|template| template.render_text(&turns, &RenderOptions::default()));
    match found {
        Err(DataError::Template { message, .. }) => message,
        other => panic!("{source:?} gave {:?}", other.map(|text| text.len())),
    }
}

#[test]
fn loops_end() {
    let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% set x = a %}{% endfor %}{% endfor %}";
    assert!(refused(nested).contains("fuel"), "{}", refused(nested));
    refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
    refused("{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}");
}

#[test]
fn long_texts_are_refused_before_they_are_made() {
    for source in [
        "{{ 'a' * 1099511627776 }}",
        "{{ 1099511627776 * 'a' }}",
        "{{ 'a'.center(1099511627776) }}",
        "{{ 'a'.ljust(1099511627776) }}",
        "{{ '\t'.expandtabs(1099511627776) }}",
        "{{ '%1099511627776d' % 1 }}",
        "{{ '{:1099511627776}'.format(1) }}",
        "{{ 'a\nb'|indent(1099511627776) }}",
        "{{ [1]|tojson(indent=1099511627776) }}",
        "{{ [1]|batch(1099511627776, 'x')|list }}",
        "{{ [1]|slice(1099511627776)|list }}",
        "{{ [0] * 1099511627776 }}",
        "{{ range(1099511627776) }}",
        "{{ range(100001)|list }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x.replace('a', 'aaaa') %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
        "{% set ns = namespace(x=['ab']) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for a in range(99999) %}{{ x }}{% endfor %}",
    ] {
        refused(source);
    }
}

#[test]
fn values_do_not_nest_without_end() {
    for source in [
        "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for i in range(90) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}",
        "{% set ns = namespace(x={}) %}{% for i in range(90000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}",
        "{% set ns = namespace(x={}) %}{% for i in range(90000) %}{% set ns.x = dict(a=ns.x) %}{% endfor %}",
        "{% set ns = namespace(x=1) %}{% for i in range(90000) %}{% set ns.x = joiner(ns.x) %}{% endfor %}",
        "{% set ns = namespace(x=1) %}{% for i in range(90000) %}{% set ns.x = [ns.x]|map('default') %}{% endfor %}",
        "{% set a = namespace() %}{% set a.x = a %}",
    ] {
        refused(source);
    }
    let brackets = format!("{{{{ {}1{} }}}}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&brackets);
    refused(&format!("{{{{ {}1 }}}}", "-".repeat(100_000)));
    refused(&"{% if true %}".repeat(10_000));
}

#[test]
fn templates_reach_nothing() {
    for source in [
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
        "{% from '/etc/passwd' import x %}",
        "{% extends '/etc/passwd' %}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'content': 1}) }}",
        "{{ messages[0].__class__.__mro__ }}",
        "{{ 1|py_add(2) }}",
        "{{ [1]|map('py_nest')|list }}",
    ] {
        refused(source);
    }
    assert!(refused(&"x".repeat((1 << 20) + 1)).contains("1048577 bytes"));
}
