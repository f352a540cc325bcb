use crate::record::Message;

const MARKS: [(&str, &str); 2] = [("\n\nHuman:", "user"), ("\n\nAssistant:", "assistant")];

/// Whether a text begins as a transcript does.
pub(crate) fn is_transcript(text: &str) -> bool {
    text.starts_with("\n\nHuman:")
        || (text.starts_with("Human:") && text.contains("\n\nAssistant:"))
}

/// The turns of a transcript `\n\nHuman: …\n\nAssistant: …`, white space around each removed, or
/// what is wrong with it.
pub(crate) fn turns(text: &str) -> Result<Vec<Message>, &'static str> {
    if !is_transcript(text) {
        return Err("is no transcript: it does not begin with \"\\n\\nHuman:\"");
    }
    let mut messages = Vec::new();
    let mut rest = text.strip_prefix("\n\n").unwrap_or(text);
    let mut role = "user";
    rest = rest.strip_prefix("Human:").unwrap_or(rest);
    loop {
        let next = MARKS
            .iter()
            .filter_map(|(mark, role)| rest.find(mark).map(|at| (at, *mark, *role)))
            .min();
        let Some((at, mark, next_role)) = next else {
            messages.push(Message::new(role, rest.trim()));
            break;
        };
        messages.push(Message::new(role, rest.get(..at).unwrap_or_default().trim()));
        rest = rest.get(at + mark.len()..).unwrap_or_default();
        role = next_role;
    }
    if role != "assistant" {
        return Err("does not end with a turn of the assistant");
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_split_at_their_marks() {
        let messages =
            turns("\n\nHuman: One?\nHuman: two?\n\nAssistant: Yes.\n\nHuman: So\n\nAssistant:")
                .unwrap();
        let told: Vec<_> =
            messages.iter().map(|m| (m.role(), m.content().unwrap_or_default())).collect();
        assert_eq!(
            told,
            [
                ("user", "One?\nHuman: two?"),
                ("assistant", "Yes."),
                ("user", "So"),
                ("assistant", "")
            ]
        );
        assert!(turns("\n\nHuman: One?").is_err());
        assert!(turns("\n\nAssistant: One.").is_err());
        assert!(turns("Human beings").is_err());
    }
}
