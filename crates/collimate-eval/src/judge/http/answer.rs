//! What a server answers: a chat completion, or something else.

use std::fmt::Display;

use serde_json::Value;

/// A completion. What its errors say may hold anything that the server wrote.
pub(super) struct Answer(Value);

impl Answer {
    pub(super) fn parse(body: &[u8], content_type: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            let what = if error.is_eof() { "JSON that ends too early" } else { "no JSON" };
            let text = String::from_utf8_lossy(body);
            format!("the answer is {what} ({error}), of the type {content_type:?}: {text}")
        })?;
        match value.get("error") {
            None | Some(Value::Null) => Ok(Self(value)),
            Some(_) => Err(format!("the answer is an error: {}", error_message(body))),
        }
    }

    /// What was said.
    pub(super) fn text(&self) -> Result<&str, String> {
        let choice = self.choice()?;
        match choice.pointer("/message/content") {
            Some(Value::String(text)) => Ok(text),
            None | Some(Value::Null) => {
                let reason = choice.get("finish_reason").and_then(Value::as_str);
                let reason = reason.unwrap_or("none");
                Err(format!("the answer has no content; its finish_reason is {reason:?}"))
            }
            Some(_) => Err("the content of the answer is no text".to_owned()),
        }
    }

    /// How likely the first token is each of these, without the space around it; none if the server
    /// doesn't tell.
    pub(super) fn probabilities(&self, answers: &[String]) -> Result<Option<Vec<f64>>, String> {
        let choice = self.choice()?;
        let tokens = match choice.pointer("/logprobs/content") {
            None | Some(Value::Null) => return Ok(None),
            Some(tokens) => tokens.as_array().ok_or("`logprobs.content` is no list")?,
        };
        let likely = match tokens.first().and_then(|first| first.get("top_logprobs")) {
            None | Some(Value::Null) => return Ok(None),
            Some(likely) => likely.as_array().ok_or("`top_logprobs` is no list")?,
        };
        if likely.is_empty() {
            return Ok(None);
        }
        let mut weights = vec![0.0; answers.len()];
        let mut sum = 0.0;
        for one in likely {
            let token = one.get("token").and_then(Value::as_str);
            let token = token.ok_or("a token of `top_logprobs` is no text")?;
            let weight = probability(one.get("logprob"))
                .map_err(|error| format!("the log probability of the token {token:?} {error}"))?;
            sum += weight;
            let token = token.trim_matches(is_space);
            for (answer, sum) in answers.iter().zip(&mut weights) {
                if answer == token {
                    *sum += weight;
                }
            }
        }
        // Log probabilities of sixteen bits are rounded by as much as a few percent.
        if sum > 1.05 {
            return Err(format!("the probabilities of likely tokens add up to {sum}"));
        }
        Ok(Some(weights.into_iter().map(|weight: f64| weight.min(1.0)).collect()))
    }

    /// Tokens of the prompt and of the answer, where the server counts them.
    pub(super) fn usage(&self) -> (Option<u64>, Option<u64>) {
        let count = |name| self.0.pointer(name).and_then(Value::as_u64);
        (count("/usage/prompt_tokens"), count("/usage/completion_tokens"))
    }

    /// The first completion, if it is the model's own.
    fn choice(&self) -> Result<&Value, String> {
        let choices = self.0.get("choices").ok_or("the answer has no `choices`")?;
        let choices = choices.as_array().ok_or("the `choices` of the answer are no list")?;
        let choice = choices.first().ok_or("the `choices` of the answer are empty")?;
        if !choice.get("message").is_some_and(Value::is_object) {
            return Err("the first of the `choices` has no `message`".to_owned());
        }
        match choice.pointer("/message/refusal") {
            None | Some(Value::Null) => {}
            Some(refusal) => return Err(format!("it refuses to rate: {}", text_of(refusal))),
        }
        if choice.get("finish_reason").and_then(Value::as_str) == Some("content_filter") {
            return Err(
                "the server withholds the answer: finish_reason is \"content_filter\"".into()
            );
        }
        Ok(choice)
    }
}

/// What a server says of an error, in one of the usual forms; else all that it sent.
pub(super) fn error_message(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).trim().to_owned();
    };
    let names = ["/error/message", "/error", "/message", "/detail"];
    text_of(names.into_iter().find_map(|name| value.pointer(name)).unwrap_or(&value))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn probability(log: Option<&Value>) -> Result<f64, impl Display> {
    match log.and_then(Value::as_f64) {
        // What is above zero by so little is rounded.
        Some(log) if log <= 1e-4 => Ok(log.min(0.0).exp()),
        Some(log) => Err(format!("is {log}, above 0")),
        None => Err("is no number".to_owned()),
    }
}

/// A space, or how tokenizers write one.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '▁' | 'Ġ')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(value: &Value) -> Result<Answer, String> {
        Answer::parse(value.to_string().as_bytes(), "application/json")
    }

    fn likely(likely: &Value) -> Value {
        let first = json!({"token": "4", "logprob": -0.1, "top_logprobs": likely});
        json!({"choices": [{"message": {"content": "4"}, "logprobs": {"content": [first]}}]})
    }

    #[test]
    fn tokens_that_are_the_same_without_space_are_added_up() {
        let tokens = json!([
            {"token": "4", "logprob": 0.5_f64.ln()},
            {"token": " 4", "logprob": 0.125_f64.ln()},
            {"token": "▁4", "logprob": 0.0625_f64.ln()},
            {"token": "5\n", "logprob": 0.25_f64.ln()},
            {"token": "45", "logprob": 0.01_f64.ln()},
        ]);
        let answers = ["4", "5", "3"].map(str::to_owned);
        let found = answer(&likely(&tokens)).unwrap().probabilities(&answers).unwrap().unwrap();
        for (found, expected) in found.iter().zip([0.6875, 0.25, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn probabilities_that_are_not_told() {
        let message = json!({"content": "4"});
        for logprobs in [
            json!(null),
            json!({}),
            json!({"content": null}),
            json!({"content": []}),
            json!({"content": [{"token": "4", "logprob": 0.0}]}),
            json!({"content": [{"token": "4", "logprob": 0.0, "top_logprobs": []}]}),
            // Of the older interface for completions.
            json!({"tokens": ["4"], "token_logprobs": [0.0], "top_logprobs": [{"4": 0.0}]}),
        ] {
            let value = json!({"choices": [{"message": message, "logprobs": logprobs}]});
            let found = answer(&value).unwrap().probabilities(&["4".to_owned()]).unwrap();
            assert_eq!(found, None, "{logprobs}");
        }
    }

    #[test]
    fn probabilities_that_can_not_be() {
        for (tokens, expected) in [
            (json!([{"token": "4", "logprob": null}]), "\"4\" is no number"),
            (json!([{"token": "4", "logprob": "NaN"}]), "\"4\" is no number"),
            (json!([{"token": "4"}]), "\"4\" is no number"),
            (json!([{"token": "4", "logprob": 0.2}]), "\"4\" is 0.2, above 0"),
            (json!([{"logprob": -1.0}]), "a token of `top_logprobs` is no text"),
            (json!({"4": -1.0}), "`top_logprobs` is no list"),
            (
                json!([{"token": "4", "logprob": 0.0}, {"token": "5", "logprob": -1.0}]),
                "add up to 1.36",
            ),
        ] {
            let answer = answer(&likely(&tokens)).unwrap();
            let error = answer.probabilities(&["4".to_owned()]).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let rounded = likely(&json!([{"token": "4", "logprob": 1e-5}]));
        let found = answer(&rounded).unwrap().probabilities(&["4".to_owned()]).unwrap();
        assert_eq!(found, Some(vec![1.0]));
    }

    #[test]
    fn what_is_no_completion() {
        for (value, expected) in [
            (json!([]), "no `choices`"),
            (json!({"choices": null}), "no list"),
            (json!({"choices": []}), "are empty"),
            (json!({"choices": [{}]}), "no `message`"),
            (json!({"choices": [{"message": null}]}), "no `message`"),
            (
                json!({"choices": [{"message": {"content": null}, "finish_reason": "length"}]}),
                "no content; its finish_reason is \"length\"",
            ),
            (json!({"choices": [{"message": {"content": [1]}}]}), "no text"),
            (
                json!({"choices": [{"message": {"content": null, "refusal": "Not this."}}]}),
                "refuses to rate: Not this.",
            ),
            (
                json!({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}),
                "withholds",
            ),
        ] {
            let error = answer(&value).unwrap().text().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn errors_in_their_usual_forms() {
        for (body, expected) in [
            (r#"{"error": {"message": "no such model", "code": 5}}"#, "no such model"),
            (r#"{"error": "no such model"}"#, "no such model"),
            (r#"{"message": "no such model"}"#, "no such model"),
            (r#"{"detail": [{"msg": "bad"}]}"#, r#"[{"msg":"bad"}]"#),
            (r#"{"x": 1}"#, r#"{"x":1}"#),
            ("  Bad Gateway\n", "Bad Gateway"),
        ] {
            assert_eq!(error_message(body.as_bytes()), expected);
        }
    }
}
