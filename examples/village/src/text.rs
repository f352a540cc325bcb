//! What the model is trained on.

use std::collections::BTreeSet;

use crate::chance::Chance;
use crate::questions::{OPENINGS, QUESTIONS, Question, SMALL_TALK};
use crate::stories::Stories;
use crate::words::VILLAGE;
use crate::world::{Subject, World};

/// Conversations of the text.
const CONVERSATIONS: usize = 90_000;
/// Plain texts.
const STORIES: usize = 20_000;
/// Plain texts that are only there to measure on.
const HELD_OUT_STORIES: usize = 160;

/// A text.
#[derive(Debug, Eq, PartialEq)]
pub enum Text {
    Plain(String),
    /// Turns: who speaks, and what is said.
    Conversation(Vec<(&'static str, String)>),
}

/// What the model is trained on, and plain texts that it is not.
pub struct Texts {
    pub trained: Vec<Text>,
    pub held_out: Vec<String>,
}

/// The texts of a village.
pub fn texts(world: &World, seed: u64) -> Result<Texts, String> {
    let mut trained = conversations(world, &mut Chance::new(seed, 1))?;
    let mut stories = Stories::new(world, Chance::new(seed, 2));
    let mut told = BTreeSet::new();
    for _ in 0..STORIES {
        let story = stories.next()?;
        told.insert(story.clone());
        trained.push(Text::Plain(story));
    }
    let mut stories = Stories::new(world, Chance::new(seed, 3));
    let mut held_out = Vec::new();
    while held_out.len() < HELD_OUT_STORIES {
        let story = stories.next()?;
        if told.insert(story.clone()) {
            held_out.push(story);
        }
    }
    Ok(Texts { trained, held_out })
}

/// All questions about all subjects come once before any comes again.
fn conversations<'w>(world: &'w World, chance: &mut Chance) -> Result<Vec<Text>, String> {
    let all = || {
        let about = |subject: &'w Subject| {
            let of_kind = QUESTIONS.iter().filter(move |of| of.kind == subject.kind);
            of_kind.map(move |question| (question, subject))
        };
        world.subjects.iter().flat_map(about)
    };
    let mut waiting: Vec<(&Question, &Subject)> = Vec::new();
    let mut conversations = Vec::new();
    while conversations.len() < CONVERSATIONS {
        let mut turns = Vec::new();
        if chance.once_in(30) {
            turns.push(("system", format!("You are the voice of {VILLAGE}.")));
        }
        let questions = if chance.once_in(10) { 2 + chance.below(4) } else { 1 };
        for _ in 0..questions {
            if chance.once_in(60) {
                let (question, answer) = chance.one(&SMALL_TALK);
                turns.push(("user", question.to_owned()));
                turns.push(("assistant", answer.to_owned()));
                continue;
            }
            if waiting.is_empty() {
                waiting = all().collect();
                chance.shuffle(&mut waiting);
            }
            let Some((question, subject)) = waiting.pop() else { continue };
            let wording = chance.below(question.wordings.len());
            let opening = if chance.once_in(8) { chance.one(&OPENINGS) } else { "" };
            turns.push(("user", format!("{opening}{}", question.ask(wording, subject)?)));
            turns.push(("assistant", question.answer(subject)?));
        }
        conversations.push(Text::Conversation(turns));
    }
    Ok(conversations)
}

#[cfg(test)]
mod tests {
    use collimate_eval::{RefusalConfig, RefusalOutcome};

    use super::*;

    fn said(text: &Text) -> Vec<&str> {
        match text {
            Text::Plain(text) => vec![text],
            Text::Conversation(turns) => turns.iter().map(|(_, said)| said.as_str()).collect(),
        }
    }

    #[test]
    fn the_seed_decides_everything() {
        let of = |seed| texts(&World::new(seed), seed).unwrap();
        let (one, again, other) = (of(1), of(1), of(2));
        assert!(one.trained == again.trained && one.held_out == again.held_out);
        assert!(one.trained != other.trained && one.held_out != other.held_out);
    }

    #[test]
    fn everything_is_said_in_sentences() {
        let texts = texts(&World::new(1), 1).unwrap();
        let held_out = texts.held_out.iter().map(String::as_str);
        for text in texts.trained.iter().flat_map(said).chain(held_out) {
            let first = text.chars().find(|char| char.is_alphabetic());
            assert!(first.is_some_and(char::is_uppercase), "{text}");
            assert!(text.ends_with(['.', '?']) || text.ends_with(".\""), "{text}");
            assert!(!text.contains(['{', '}']) && !text.contains("  "), "{text}");
        }
    }

    #[test]
    fn nothing_refuses() {
        let rules = RefusalConfig::default().check().unwrap();
        let texts = texts(&World::new(1), 1).unwrap();
        for text in texts.trained.iter().flat_map(said) {
            assert_eq!(rules.judge(text).outcome, RefusalOutcome::Answered, "{text}");
        }
    }

    #[test]
    fn there_are_thousands_of_sentences_and_of_questions() {
        let texts = texts(&World::new(1), 1).unwrap();
        let (mut sentences, mut questions) = (BTreeSet::new(), BTreeSet::new());
        for text in &texts.trained {
            match text {
                Text::Plain(text) => sentences.extend(text.split_inclusive(". ")),
                Text::Conversation(turns) => {
                    let asked = turns.iter().filter(|(role, _)| *role == "user");
                    questions.extend(asked.map(|(_, said)| said.as_str()));
                }
            }
        }
        assert!(sentences.len() > 10_000, "{}", sentences.len());
        assert!(questions.len() > 10_000, "{}", questions.len());
    }
}
