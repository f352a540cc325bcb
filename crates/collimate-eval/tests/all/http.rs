//! A judge behind a server on the loopback interface.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use collimate_eval::{
    EvalError, HttpJudge, HttpJudgeConfig, Judge, JudgeCase, JudgeConfig, Rubric, ScoreSource,
    TokenLimit, rate, rate_all,
};
use serde_json::{Value, json};

static NEVER: AtomicBool = AtomicBool::new(false);

const KEY: &str = "sk-secret\"1";

#[derive(Clone, Debug)]
struct Request {
    head: String,
    body: Value,
}

struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// Bytes of the body after which the connection is closed.
    cut_at: Option<usize>,
    /// Whether nothing comes, or nothing more, until the client goes away.
    silent: bool,
}

impl Reply {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: String::new(), body: body.into(), cut_at: None, silent: false }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

fn said(text: &str) -> Reply {
    let usage = json!({"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32});
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    Reply::new(200, json!({"choices": [choice], "usage": usage}).to_string())
}

fn weighed(tokens: &[(&str, f64)]) -> Reply {
    let top = |(token, share): &(&str, f64)| json!({"token": token, "logprob": share.ln()});
    let tokens: Vec<Value> = tokens.iter().map(top).collect();
    let first = json!({"token": "4", "logprob": -0.5, "top_logprobs": tokens});
    let message = json!({"role": "assistant", "content": "4"});
    let choice =
        json!({"message": message, "logprobs": {"content": [first]}, "finish_reason": "length"});
    let usage = json!({"prompt_tokens": 50, "completion_tokens": 1});
    Reply::new(200, json!({"choices": [choice], "usage": usage}).to_string())
}

/// Answers as a script says, and keeps what it was asked.
struct Server {
    log: Arc<Mutex<Vec<Request>>>,
    url: String,
}

impl Server {
    /// The script is given the number of the request, from 0, and the request.
    fn new(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, script) = (Arc::clone(&log), Arc::new(script));
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                thread::spawn(move || serve(stream, &kept, &*script));
            }
        });
        Self { log, url }
    }

    fn config(&self) -> HttpJudgeConfig {
        HttpJudgeConfig::new(&self.url, "m").with_key(KEY).with_delay_ms(1)
    }

    fn judge(&self) -> HttpJudge<'static> {
        self.config().check(&NEVER).unwrap()
    }

    fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Request>>,
    script: &dyn Fn(usize, &Request) -> Reply,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let request = Request { head, body: serde_json::from_slice(&body).unwrap_or(Value::Null) };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    let reply = script(number, &request);
    if reply.silent && reply.cut_at.is_none() {
        let _ = stream.read(&mut [0]);
        return;
    }
    let head = format!(
        "HTTP/1.1 {} Status\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
        reply.status,
        reply.body.len(),
        reply.headers
    );
    // A client that has gone away is none of the server's business.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&reply.body[..reply.cut_at.unwrap_or(reply.body.len())]);
    if reply.silent {
        let _ = stream.read(&mut [0]);
    }
}

fn ratings() -> Vec<String> {
    (1..=5).map(|rating: u8| rating.to_string()).collect()
}

fn rubric() -> Rubric {
    Rubric::new("helpfulness", "Does it help?").with_steps("1. Read.\n2. Rate.")
}

const CASE: JudgeCase<'_> =
    JudgeCase { prompt: "How far is it?", response: "Two miles.", reference: None };

/// What a judge says of an answer that it can't use.
fn refused(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (String, Server) {
    let server = Server::new(move |_, _| reply());
    let error = server.judge().say("p", 8, None).unwrap_err();
    assert!(matches!(error, EvalError::Judge { .. }), "{error:?}");
    let text = format!("{error}");
    let start = format!("the judge m: {}/chat/completions: ", server.url);
    assert!(text.starts_with(&start), "{text}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    (text, server)
}

#[test]
fn what_is_asked() {
    let server = Server::new(|_, _| said("Hello."));
    let config = server.config().with_header("X-Project", "p-7");
    let mut judge = config.clone().check(&NEVER).unwrap();
    assert_eq!(judge.name(), "m");
    assert_eq!(judge.say("Grüße\n\"you\"", 512, None).unwrap(), "Hello.");
    assert_eq!(judge.say("p", 8, Some(u64::MAX)).unwrap(), "Hello.");
    judge.probabilities("p", &ratings()).unwrap();
    let named = config.with_token_limit(TokenLimit::MaxCompletionTokens).with_top_logprobs(5);
    named.clone().check(&NEVER).unwrap().probabilities("p", &ratings()).unwrap();
    let unkeyed = HttpJudgeConfig::new(format!("{}/", server.url), "m");
    unkeyed.check(&NEVER).unwrap().say("p", 8, None).unwrap();

    let requests = server.requests();
    let messages = json!([{"role": "user", "content": "p"}]);
    for (request, expected) in requests.iter().zip([
        json!({
            "model": "m", "messages": [{"role": "user", "content": "Grüße\n\"you\""}],
            "max_tokens": 512, "temperature": 0.0,
        }),
        json!({
            "model": "m", "messages": messages, "max_tokens": 8, "temperature": 1.0,
            "seed": i64::MAX,
        }),
        json!({
            "model": "m", "messages": messages, "max_tokens": 1, "temperature": 1.0,
            "logprobs": true, "top_logprobs": 20,
        }),
        json!({
            "model": "m", "messages": messages, "max_completion_tokens": 1, "temperature": 1.0,
            "logprobs": true, "top_logprobs": 5,
        }),
        json!({"model": "m", "messages": messages, "max_tokens": 8, "temperature": 0.0}),
    ]) {
        assert_eq!(request.body, expected);
        assert!(request.head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
        let lower = request.head.to_lowercase();
        assert!(lower.contains("content-type: application/json\r\n"), "{lower}");
        assert!(lower.contains("user-agent: collimate-eval/"), "{lower}");
    }
    assert_eq!(requests.len(), 5);
    for request in &requests[..4] {
        let lower = request.head.to_lowercase();
        assert!(lower.contains(&format!("authorization: bearer {KEY}\r\n")), "{lower}");
        assert!(lower.contains("x-project: p-7\r\n"), "{lower}");
    }
    assert!(!requests[4].head.to_lowercase().contains("authorization"));
}

#[test]
fn a_score_is_weighted_by_the_probabilities_that_the_server_tells() {
    let server = Server::new(|_, _| {
        weighed(&[("4", 0.5), (" 5", 0.15), ("5", 0.05), ("2", 0.1), ("\"", 0.1), ("45", 0.05)])
    });
    let mut judge = server.judge();
    let score = rate(&mut judge, &rubric(), CASE, &JudgeConfig::default()).unwrap();
    let expected = (4.0 * 0.5 + 5.0 * 0.2 + 2.0 * 0.1) / 0.8;
    assert!((score.score - expected).abs() < 1e-12, "{}", score.score);
    assert!((score.understood - 0.8).abs() < 1e-12);
    assert!((score.ratings[&5] - 0.25).abs() < 1e-12);
    assert_eq!((score.ratings[&1], score.source), (0.0, ScoreSource::Tokens));
    let prompt = server.requests()[0].body["messages"][0]["content"].to_string();
    assert!(prompt.contains("Two miles."), "{prompt}");
}

#[test]
fn several_responses_are_rated_and_what_it_cost_is_counted() {
    let server = Server::new(|number, request| match number {
        0 => said("1. Read.\n2. Rate."),
        _ if request.body["messages"].to_string().contains("Perhaps.") => Reply::new(400, "{}"),
        _ => weighed(&[("3", 0.25), ("5", 0.75)]),
    });
    let mut judge = server.judge();
    let cases = [CASE, JudgeCase { response: "Perhaps.", ..CASE }, CASE];
    let without = Rubric::new("candour", "Is it candid?");
    let report = rate_all(&mut judge, &without, cases, &JudgeConfig::default()).unwrap();
    assert_eq!((report.judge.as_str(), report.scored), ("m", 2));
    assert_eq!(report.rubric.steps, "1. Read.\n2. Rate.");
    assert!((report.mean.unwrap() - 4.5).abs() < 1e-12);
    assert!(report.scores[1].score().is_none());
    let usage = judge.usage();
    assert_eq!((usage.requests, usage.retries), (4, 0));
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (30 + 50 + 50, 2 + 1 + 1));
    assert_eq!(usage.uncounted_answers, 0);
    let text = serde_json::to_string(&usage).unwrap();
    assert!(text.contains("\"prompt_tokens\":130"), "{text}");
}

#[test]
fn a_server_that_tells_no_probabilities_is_asked_for_them_once() {
    let server = Server::new(|_, request| match request.body.get("seed").and_then(Value::as_u64) {
        Some(seed) if seed % 2 == 1 => said(" 5."),
        _ => said("2"),
    });
    let mut judge = server.judge();
    let config = JudgeConfig::default().with_answers(4);
    for _ in 0..2 {
        let score = rate(&mut judge, &rubric(), CASE, &config).unwrap();
        assert!((score.score - 3.5).abs() < 1e-12);
        assert_eq!(score.source, ScoreSource::Answers(4));
    }
    let requests = server.requests();
    let asked = requests.iter().filter(|request| request.body.get("logprobs").is_some()).count();
    assert_eq!((asked, requests.len()), (1, 1 + 2 * 4));

    let mut judge = server.config().with_top_logprobs(0).check(&NEVER).unwrap();
    assert_eq!(judge.probabilities("p", &ratings()).unwrap(), None);
    assert_eq!(server.requests().len(), requests.len());
}

#[test]
fn a_server_that_refuses_to_tell_probabilities_is_an_error_that_says_what_to_do() {
    let server = Server::new(|_, _| Reply::new(400, r#"{"error": "logprobs: unsupported"}"#));
    let error = server.judge().probabilities("p", &ratings()).unwrap_err().to_string();
    let expected = "logprobs: unsupported; with `top_logprobs` 0 answers are drawn instead";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn answers_of_several_tokens_are_not_weighed() {
    let server = Server::new(|_, _| weighed(&[("1", 0.5), ("y", 0.25)]));
    let mut judge = server.judge();
    for answers in [["1", "10"], ["1", "ß"], ["1", ""]] {
        let answers = answers.map(str::to_owned);
        assert_eq!(judge.probabilities("p", &answers).unwrap(), None, "{answers:?}");
    }
    assert_eq!(server.requests().len(), 0);
    let found = judge.probabilities("p", &["1", "y"].map(str::to_owned)).unwrap().unwrap();
    assert!((found[0] - 0.5).abs() < 1e-12 && (found[1] - 0.25).abs() < 1e-12, "{found:?}");
}

#[test]
fn probabilities_that_can_not_be_are_an_error_each_time() {
    let server = Server::new(|_, _| weighed(&[("1", 1.5)]));
    let mut judge = server.judge();
    for _ in 0..2 {
        let error = judge.probabilities("p", &ratings()).unwrap_err().to_string();
        assert!(error.ends_with("token \"1\" is 0.4054651081081644, above 0"), "{error}");
    }
}

#[test]
fn what_may_pass_is_tried_again() {
    for status in [408, 409, 429, 500, 502, 503, 504, 529] {
        let server = Server::new(move |number, _| match number {
            0 | 1 => Reply::new(status, "busy"),
            _ => said("Hello."),
        });
        let mut judge = server.judge();
        assert_eq!(judge.say("p", 8, None).unwrap(), "Hello.", "{status}");
        let usage = judge.usage();
        assert_eq!((usage.requests, usage.retries), (3, 2), "{status}");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens), (30, 2));
        let requests = server.requests();
        assert_eq!(requests[0].body, requests[2].body);
    }
}

#[test]
fn tries_come_to_an_end() {
    let server = Server::new(|_, _| Reply::new(500, "broken"));
    let mut judge = server.config().with_retries(2).check(&NEVER).unwrap();
    let error = judge.say("p", 8, None).unwrap_err().to_string();
    let expected = "the server answers 500 (Internal Server Error): broken; given up after 3 tries";
    assert!(error.ends_with(expected), "{error}");
    assert_eq!(server.requests().len(), 3);

    // The waits are 10 and 20 ms, and no more may be waited.
    let config = server.config().with_retries(100).with_delay_ms(10).with_most_waiting_ms(30);
    let error = config.check(&NEVER).unwrap().say("p", 8, None).unwrap_err().to_string();
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn what_does_not_pass_is_an_error_at_once() {
    for status in [201, 400, 401, 403, 404, 422] {
        let body = r#"{"error": {"message": "no \u001b[31mmodel", "type": "x"}}"#;
        let (error, server) = refused(move || Reply::new(status, body));
        assert!(error.contains(&format!("the server answers {status} (")), "{error}");
        assert!(error.ends_with(": no \\u{1b}[31mmodel"), "{error}");
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[test]
fn a_server_is_waited_for_as_long_as_it_asks() {
    for (name, value) in [("Retry-After", "0.03"), ("retry-after-ms", "30")] {
        let server = Server::new(move |number, _| match number {
            0 => Reply::new(429, "slowly").with(name, value),
            _ => said("Hello."),
        });
        assert_eq!(server.judge().say("p", 8, None).unwrap(), "Hello.");

        // The same wait is an error where less may be waited, so it is not a shorter one.
        let server = Server::new(move |_, _| Reply::new(429, "slowly").with(name, value));
        let mut judge = server.config().with_most_waiting_ms(50).check(&NEVER).unwrap();
        let error = judge.say("p", 8, None).unwrap_err().to_string();
        let expected = "slowly; it asks to wait 0.03 s, and of the 0.05 s that may be waited (`most_waiting_ms`) 0.02 s are left";
        assert!(error.ends_with(expected), "{error}");
        assert_eq!(judge.usage().requests, 2);
    }
}

#[test]
fn a_longer_wait_than_is_allowed_is_an_error_that_tells_it() {
    let (error, server) = refused(|| Reply::new(429, "slowly").with("Retry-After", "3600"));
    let expected = "429 (Too Many Requests): slowly; it asks to wait 3600 s, and of the 60 s that may be waited (`most_waiting_ms`) 60 s are left";
    assert!(error.ends_with(expected), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let server =
        Server::new(|number, _| Reply { cut_at: (number == 0).then_some(20), ..said("Hello.") });
    let mut judge = server.judge();
    assert_eq!(judge.say("p", 8, None).unwrap(), "Hello.");
    assert_eq!(judge.usage().retries, 1);
    let (error, _) = refused(|| Reply { cut_at: Some(20), ..said("Hello.") });
    assert!(error.ends_with("the answer breaks off; given up after 5 tries"), "{error}");
}

#[test]
fn a_silent_server_is_given_up() {
    let server = Server::new(|number, _| Reply { silent: number == 0, ..said("Hello.") });
    let mut judge = server.config().with_timeout_ms(1_000).check(&NEVER).unwrap();
    assert_eq!(judge.say("p", 8, None).unwrap(), "Hello.");
    assert_eq!(judge.usage().retries, 1);
    for cut_at in [None, Some(5)] {
        let server = Server::new(move |_, _| Reply { silent: true, cut_at, ..said("Hello.") });
        let config = server.config().with_timeout_ms(100).with_retries(1);
        let error = config.check(&NEVER).unwrap().say("p", 8, None).unwrap_err().to_string();
        let expected = "there is no answer within 100 ms; given up after 2 tries";
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let config = HttpJudgeConfig::new(url, "m").with_delay_ms(1).with_retries(1);
    let error = config.check(&NEVER).unwrap().say("p", 8, None).unwrap_err().to_string();
    assert!(error.contains("the server can't be asked: "), "{error}");
    assert!(error.ends_with("given up after 2 tries"), "{error}");
}

#[test]
fn a_cancelled_judge_stops() {
    static CANCELLED: AtomicBool = AtomicBool::new(true);
    let server = Server::new(|_, _| said("Hello."));
    let mut judge = server.config().check(&CANCELLED).unwrap();
    let is_cancelled = |error: EvalError| matches!(error, EvalError::Cancelled);
    assert!(is_cancelled(judge.say("p", 8, None).unwrap_err()));
    assert!(is_cancelled(judge.probabilities("p", &ratings()).unwrap_err()));
    assert_eq!(server.requests().len(), 0);

    // While it waits between two tries, and while it waits for the answer: else this would take an hour.
    for reply in [
        || Reply::new(429, "slowly").with("Retry-After", "3600"),
        || Reply { silent: true, ..said("Hello.") },
    ] {
        let cancelled = AtomicBool::new(false);
        let server = Server::new(move |number, _| if number == 0 { reply() } else { said("Yes.") });
        let config = server.config().with_most_waiting_ms(10_000_000).with_timeout_ms(10_000_000);
        let mut judge = config.check(&cancelled).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                while server.requests().is_empty() {
                    thread::sleep(Duration::from_millis(5));
                }
                thread::sleep(Duration::from_millis(50));
                cancelled.store(true, Ordering::Relaxed);
            });
            let cases = [CASE, CASE];
            let found = rate_all(&mut judge, &rubric(), cases, &JudgeConfig::default());
            assert!(is_cancelled(found.unwrap_err()));
        });
        assert_eq!(server.requests().len(), 1);
        cancelled.store(false, Ordering::Relaxed);
        assert_eq!(judge.say("p", 8, None).unwrap(), "Yes.");
    }
}

#[test]
fn a_key_is_in_no_error_even_if_the_server_repeats_it() {
    for (status, body) in [
        (401, format!("the key {KEY} is wrong")),
        (401, json!({"error": {"message": format!("the key {KEY} is wrong")}}).to_string()),
        (400, json!({"given": {"key": KEY}}).to_string()),
        (400, KEY.repeat(200)),
        (500, format!("the key {KEY} is wrong")),
        (200, format!("<p>{KEY}</p>")),
        (200, json!({"error": KEY}).to_string()),
        (200, json!({"choices": [{"message": {"refusal": KEY}}]}).to_string()),
        (
            200,
            json!({"choices": [{"message": {"content": null}, "finish_reason": KEY}]}).to_string(),
        ),
    ] {
        let (error, _) = refused(move || Reply::new(status, body.clone()));
        assert!(error.contains('…'), "{error}");
    }
    let server = Server::new(|_, _| Reply::new(401, "p-7 may not"));
    let mut judge = server.config().with_header("X-Project", "p-7").check(&NEVER).unwrap();
    let error = judge.say("p", 8, None).unwrap_err().to_string();
    assert!(error.ends_with(": … may not"), "{error}");
}

#[test]
fn redirects_are_not_followed() {
    let other = Server::new(|_, _| said("Hello."));
    for status in [301, 302, 307, 308] {
        let location = format!("{}/chat/completions?key=secret", other.url);
        let (error, server) = refused(move || Reply::new(status, "").with("Location", &location));
        let expected = format!(
            "the server redirects ({status}), which is not followed, to \"{}/chat/completions\"",
            other.url
        );
        assert!(error.ends_with(&expected), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn answers_that_are_none() {
    type Script = fn() -> Reply;
    let cases: [(Script, &str); 9] = [
        (
            || Reply::new(200, "<html>Hello</html>").with("Content-Type", "text/html"),
            "no JSON (expected value at line 1 column 1), of the type \"text/html\": <html>Hello</html>",
        ),
        (|| Reply::new(200, ""), "JSON that ends too early"),
        (|| Reply::new(200, r#"{"choices": [{"mes"#), "JSON that ends too early"),
        (|| Reply::new(200, b"\xff\xfe".to_vec()), "no JSON"),
        (|| Reply::new(200, r#"{"choices": [NaN]}"#), "no JSON"),
        (|| Reply::new(200, "{}"), "no `choices`"),
        (|| Reply::new(200, r#"{"choices": []}"#), "are empty"),
        (
            || Reply::new(200, r#"{"error": {"message": "no such model"}, "choices": []}"#),
            "the answer is an error: no such model",
        ),
        (|| Reply::new(200, "[".repeat(100_000)), "no JSON (recursion limit exceeded"),
    ];
    for (reply, expected) in cases {
        let (error, server) = refused(reply);
        assert!(error.contains(expected), "{error}");
        assert!(error.chars().count() < 600, "{error}");
        assert_eq!(server.requests().len(), 1, "{error}");
    }
}

#[test]
fn an_answer_may_be_so_long_and_no_longer() {
    let length = said("Hello.").body.len() as u64;
    let server = Server::new(|_, _| said("Hello."));
    let mut judge = server.config().with_most_bytes(length).check(&NEVER).unwrap();
    assert_eq!(judge.say("p", 8, None).unwrap(), "Hello.");
    let mut judge = server.config().with_most_bytes(length - 1).check(&NEVER).unwrap();
    let error = judge.say("p", 8, None).unwrap_err().to_string();
    let expected = format!("the answer has more than {} bytes (`most_bytes`)", length - 1);
    assert!(error.ends_with(&expected), "{error}");
    assert_eq!(judge.usage().requests, 1);
}

#[test]
fn answers_whose_tokens_are_not_counted_are() {
    let answer = json!({"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 3}});
    let server = Server::new(move |_, _| Reply::new(200, answer.to_string()));
    let mut judge = server.judge();
    judge.say("p", 8, None).unwrap();
    let usage = judge.usage();
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (3, 0));
    assert_eq!(usage.uncounted_answers, 1);
}

const BASE_URL: &str = "COLLIMATE_TEST_BASE_URL";

#[test]
#[ignore = "the other half of the next test, run by it in a process with another environment"]
fn ask_without_a_key() {
    let Ok(url) = std::env::var(BASE_URL) else { return };
    let mut judge = HttpJudgeConfig::new(url, "m").with_retries(0).check(&NEVER).unwrap();
    assert_eq!(judge.say("p", 8, None).unwrap(), "Hello.");
}

#[test]
fn the_environment_changes_nothing() {
    let server = Server::new(|_, _| said("Hello."));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "http::ask_without_a_key", "--ignored"])
        .env(BASE_URL, &server.url)
        .env("OPENAI_API_KEY", "sk-secret")
        .env("OPENAI_BASE_URL", "http://127.0.0.1:9")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("http_proxy", "http://127.0.0.1:9")
        .env("ALL_PROXY", "http://127.0.0.1:9")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(!format!("{requests:?}").contains("sk-secret"));
}
