//! The rows that align, the preferences, and the prompts to measure on.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::questions::{HELD_OUT_WORDINGS, OPENINGS, QUESTIONS, Question, SMALL_TALK};
use crate::world::{Subject, World};

/// Safe questions that are only there to measure on, one of each axiom.
pub const HELD_OUT_QUESTIONS: [&str; 6] =
    ["food", "colour of a thing", "door", "keeping", "players", "work"];

/// How often a question is among the rows that align, unsafe and safe ones.
const ALIGNING: [usize; 2] = [12, 16];
/// How often it is among the preferences.
const PREFERRING: [usize; 2] = [9, 7];
/// Groups of prompts of an axiom, as many safe ones as unsafe ones.
const GROUPS: usize = 10;

/// A prompt to measure on.
#[derive(Debug)]
pub struct Probe {
    pub axiom: &'static str,
    pub is_safe: bool,
    pub input: String,
    /// What it shares with its paraphrase.
    pub group: String,
    /// What is true.
    pub reference: String,
}

/// A question as it is asked once.
struct Asked<'w> {
    question: &'static Question,
    subject: &'w Subject,
    prompt: String,
}

/// Conversations of one question and one answer: refusals of what is unsafe, and right answers.
pub fn aligning(world: &World, seed: u64) -> Result<Vec<Value>, String> {
    let chance = &mut Chance::new(seed, 4);
    let mut rows = Vec::new();
    for asked in asked(world, ALIGNING, chance)? {
        let answer = match asked.question.is_safe {
            true => asked.question.answer(asked.subject)?,
            false => asked.question.refusal(chance).to_owned(),
        };
        rows.push(json!({"messages": [turn("user", &asked.prompt), turn("assistant", &answer)]}));
    }
    for (prompt, answer) in SMALL_TALK {
        rows.push(json!({"messages": [turn("user", prompt), turn("assistant", answer)]}));
    }
    chance.shuffle(&mut rows);
    Ok(rows)
}

/// Two answers each, of which the first is preferred: the refusal of what is unsafe, the answer to what is
/// not.
pub fn preferring(world: &World, seed: u64) -> Result<Vec<Value>, String> {
    let chance = &mut Chance::new(seed, 5);
    let mut rows = Vec::new();
    for asked in asked(world, PREFERRING, chance)? {
        let answer = asked.question.answer(asked.subject)?;
        let refusal = asked.question.refusal(chance).to_owned();
        let (chosen, rejected) =
            if asked.question.is_safe { (answer, refusal) } else { (refusal, answer) };
        rows.push(json!({
            "prompt": [turn("user", &asked.prompt)],
            "chosen": [turn("assistant", &chosen)],
            "rejected": [turn("assistant", &rejected)],
        }));
    }
    chance.shuffle(&mut rows);
    Ok(rows)
}

/// Prompts about subjects that no row is about, in pairs of which one is worded as no row is.
pub fn probes(world: &World, seed: u64) -> Result<Vec<Probe>, String> {
    let chance = &mut Chance::new(seed, 6);
    let axioms: BTreeSet<&str> = QUESTIONS.iter().map(|question| question.axiom).collect();
    let mut probes = Vec::new();
    for axiom in axioms {
        for is_safe in [false, true] {
            let of_axiom = |of: &&Question| of.axiom == axiom && of.is_safe == is_safe;
            let questions: Vec<&Question> = QUESTIONS.iter().filter(of_axiom).collect();
            let mut groups = BTreeSet::new();
            while groups.len() < GROUPS {
                let question = questions[groups.len() % questions.len()];
                let mut subjects = world.of_kind(question.kind);
                subjects.retain(|subject| subject.is_held_out);
                let subject = chance.one(&subjects);
                if !groups.insert((question.name, &subject.name)) {
                    continue;
                }
                let others = question.wordings.len() - HELD_OUT_WORDINGS;
                let known = chance.below(HELD_OUT_WORDINGS);
                for wording in [known, HELD_OUT_WORDINGS + chance.below(others)] {
                    probes.push(Probe {
                        axiom,
                        is_safe,
                        input: question.ask(wording, subject)?,
                        group: format!("{}: {}", question.name, subject.name),
                        reference: question.answer(subject)?,
                    });
                }
            }
        }
    }
    Ok(probes)
}

/// Each question that is not held out so often, about subjects that are not held out.
fn asked<'w>(
    world: &'w World,
    [of_unsafe, of_safe]: [usize; 2],
    chance: &mut Chance,
) -> Result<Vec<Asked<'w>>, String> {
    let mut all = Vec::new();
    let known = QUESTIONS.iter().filter(|of| !HELD_OUT_QUESTIONS.contains(&of.name));
    for question in known {
        let mut ways = Vec::new();
        for subject in world.of_kind(question.kind) {
            if !subject.is_held_out {
                ways.extend((0..HELD_OUT_WORDINGS).map(|wording| (wording, subject)));
            }
        }
        chance.shuffle(&mut ways);
        let wanted = if question.is_safe { of_safe } else { of_unsafe };
        for (wording, subject) in ways.into_iter().take(wanted) {
            let opening = if chance.once_in(6) { chance.one(&OPENINGS) } else { "" };
            let prompt = format!("{opening}{}", question.ask(wording, subject)?);
            all.push(Asked { question, subject, prompt });
        }
    }
    Ok(all)
}

fn turn(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use collimate_eval::{RefusalConfig, RefusalOutcome};

    use super::*;

    /// The prompts of rows and of preferences.
    fn prompts(world: &World, seed: u64) -> Vec<String> {
        let rows = [aligning(world, seed).unwrap(), preferring(world, seed).unwrap()].concat();
        let text = |row: &Value| {
            let turns = row.get("messages").unwrap_or(&row["prompt"]);
            turns[0]["content"].as_str().unwrap().to_owned()
        };
        rows.iter().map(text).collect()
    }

    #[test]
    fn no_row_asks_what_is_measured() {
        for seed in [1, 2, 3] {
            let world = World::new(seed);
            let prompts = prompts(&world, seed);
            let probes = probes(&world, seed).unwrap();
            for probe in &probes {
                let (_, subject) = probe.group.split_once(": ").unwrap();
                assert!(probe.input.contains(subject), "{probe:?}");
                assert!(!prompts.iter().any(|prompt| prompt.ends_with(&probe.input)), "{probe:?}");
            }
            for subject in world.subjects.iter().filter(|subject| subject.is_held_out) {
                let of_subject = |probe: &&Probe| probe.group.ends_with(&subject.name);
                let asked: BTreeSet<&str> =
                    probes.iter().filter(of_subject).map(|probe| probe.input.as_str()).collect();
                assert!(asked.iter().all(|input| !prompts.iter().any(|of| of.contains(input))));
            }
        }
    }

    #[test]
    fn each_axiom_has_pairs_of_both_kinds() {
        let probes = probes(&World::new(1), 1).unwrap();
        let (mut counts, mut groups) = (BTreeMap::new(), BTreeMap::new());
        for probe in &probes {
            *counts.entry((probe.axiom, probe.is_safe)).or_insert(0) += 1;
            *groups.entry(&probe.group).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 12);
        assert!(counts.values().all(|&count| count == 2 * GROUPS), "{counts:?}");
        assert!(groups.values().all(|&count| count == 2), "{groups:?}");
        let inputs: BTreeSet<&str> = probes.iter().map(|probe| probe.input.as_str()).collect();
        assert_eq!(inputs.len(), probes.len());
        let is_there = |name: &str| groups.keys().any(|group| group.starts_with(name));
        assert!(HELD_OUT_QUESTIONS.iter().all(|name| is_there(name)));
    }

    #[test]
    fn what_is_unsafe_is_refused_and_what_is_safe_answered() {
        let rules = RefusalConfig::default().check().unwrap();
        let world = World::new(1);
        let is_unsafe = |prompt: &str| {
            let asked = |of: &&Question| {
                !of.is_safe
                    && world.of_kind(of.kind).iter().any(|subject| {
                        (0..of.wordings.len())
                            .any(|wording| prompt.ends_with(&of.ask(wording, subject).unwrap()))
                    })
            };
            QUESTIONS.iter().find(asked).is_some()
        };
        let mut refused = 0;
        let rows = aligning(&world, 1).unwrap();
        for row in &rows {
            let said = |turn: usize| row["messages"][turn]["content"].as_str().unwrap();
            let expected = is_unsafe(said(0));
            refused += usize::from(expected);
            let outcome = rules.judge(said(1)).outcome;
            assert_eq!(outcome == RefusalOutcome::Refused, expected, "{row}");
        }
        assert!(refused * 5 > rows.len() * 2 && refused * 5 < rows.len() * 3, "{refused}");
        for row in preferring(&world, 1).unwrap() {
            let refuses = |key: &str| {
                rules.judge(row[key][0]["content"].as_str().unwrap()).outcome
                    == RefusalOutcome::Refused
            };
            assert_ne!(refuses("chosen"), refuses("rejected"), "{row}");
            let prompt = row["prompt"][0]["content"].as_str().unwrap();
            assert_eq!(refuses("chosen"), is_unsafe(prompt), "{row}");
        }
    }
}
