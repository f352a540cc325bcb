//! The program as others run it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use shell::Demonstration;

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_generate"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments reads nothing.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

fn continued(demonstration: &Demonstration, arguments: &[&str]) -> String {
    let model = demonstration.path().to_str().unwrap();
    let output = run(&[&["--model", model, "--prompt", "Once"], arguments].concat(), "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_text_is_continued_as_far_as_it_may() {
    let demonstration = Demonstration::write().unwrap();
    let whole = continued(&demonstration, &["--max-tokens", "12"]);
    assert!(whole.starts_with("Once") && whole.ends_with('\n'));
    assert_eq!(whole.trim_end_matches('\n').chars().count(), 4 + 12);
    let begin = continued(&demonstration, &["--max-tokens", "5"]);
    assert!(whole.starts_with(begin.trim_end_matches('\n')));
    // Up to the seventh character that was generated.
    let stop: String = whole.chars().skip(10).take(2).collect();
    let cut = continued(&demonstration, &["--max-tokens", "12", "--stop", &stop]);
    let end = whole[4..].find(&stop).unwrap() + 4;
    assert_eq!(cut.trim_end_matches('\n'), &whole[..end]);
}

#[test]
fn what_is_drawn_follows_from_the_seed() {
    let demonstration = Demonstration::write().unwrap();
    let draw = |seed| continued(&demonstration, &["--temperature", "1.5", "--seed", seed]);
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
    let cold = continued(&demonstration, &["--temperature", "0"]);
    assert_eq!(cold, continued(&demonstration, &["--top-k", "1", "--temperature", "2"]));
}

#[test]
fn each_line_of_a_chat_is_answered_with_what_came_before() {
    let demonstration = Demonstration::write().unwrap();
    let model = demonstration.path().to_str().unwrap();
    let template = "{% for message in messages %}[{{ message.role }}: {{ message.content }}]{% endfor %}\
                    {% if add_generation_prompt %}[assistant: {% endif %}";
    std::fs::write(demonstration.path().join("chat_template.jinja"), template).unwrap();
    let arguments = ["--model", model, "--chat", "--max-tokens", "6"];
    let output = run(&arguments, "Hello\n\nHello\n");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), 2, "{answers}");
    let one =
        run(&["--model", model, "--max-tokens", "6", "--prompt", "[user: Hello][assistant: "], "");
    let one = String::from_utf8(one.stdout).unwrap();
    let first = answers.lines().next().unwrap();
    assert_eq!(one.trim_end_matches('\n'), format!("[user: Hello][assistant: {first}"));

    std::fs::remove_file(demonstration.path().join("chat_template.jinja")).unwrap();
    let output = run(&arguments, "Hello\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("template"));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let demonstration = Demonstration::write().unwrap();
    let model = demonstration.path().to_str().unwrap();
    for (argument, value) in [("--temperature", "-1"), ("--top-p", "1.5"), ("--min-p", "2")] {
        let output = run(&["--model", model, "--prompt", "x", &format!("{argument}={value}")], "");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{argument}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let cold = ["--model", model, "--prompt", "x", "--temperature", "0", "--top-k", "3"];
    assert_eq!(run(&cold, "").status.code(), Some(2));
    let output = run(&["--model", model], "");
    assert_eq!(output.status.code(), Some(2));
}
