//! Plain text: what is true of a subject, what happens, and what is said.

use crate::chance::Chance;
use crate::questions::QUESTIONS;
use crate::slots::Slots;
use crate::words::{MEN, PLACES, THINGS, VILLAGE, WOMEN};
use crate::world::World;

const WEATHER: [&str; 8] = ["cold", "warm", "rainy", "windy", "misty", "sunny", "quiet", "snowy"];

const TIMES: [&str; 10] = [
    "morning",
    "afternoon",
    "evening",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

const NUMBERS: [&str; 9] = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

const BEGINNINGS: [&str; 5] = [
    "It was a {weather} {time} in {village}.",
    "One {weather} {time} {a} came to {place}.",
    "On a {weather} {time} {a} and {b} sat near {place}.",
    "The {time} was {weather}.",
    "Once, on a {weather} {time}, {a} was in {place}.",
];

const EVENTS: [&str; 22] = [
    "{A} carried {thing} to {place}.",
    "{A} met {b} at {place}.",
    "{A} gave {b} {thing}.",
    "{A} looked for {thing} in {place}.",
    "{A} and {b} walked to {place}.",
    "Behind {place} {a} found {thing}.",
    "{A} waited for {b} at {place}.",
    "{A} helped {b} clean {place}.",
    "{A} sold {thing} for {number} coins.",
    "{A} asked {b} for {thing}.",
    "The wind blew around {place}.",
    "A dog barked behind {place}.",
    "{A} laughed, and {b} sang a song.",
    "{A} mended {thing} for {b}.",
    "Nobody was in {place}.",
    "{A} paid {number} coins for {thing}.",
    "{A} had a question, and {b} knew the answer.",
    "They played cards until the sun went down.",
    "{A} could not find the key of {place}.",
    "{A} wrote a note to {b}.",
    "In {place} it smelled of fresh bread.",
    "{A} put {thing} on the table.",
];

/// What people say has the words in it that refusals are made of, so that the model knows them.
const TALK: [&str; 24] = [
    "\"I am sorry that I am late,\" said {a}, \"but the road to {place} was wet.\"",
    "\"I'm sorry, {b},\" said {a}, \"but I can't find {thing}.\"",
    "\"I'm sorry, but I have no time,\" said {a} to {b}.",
    "\"I can't help you with {thing} today,\" said {a}, \"but I can come tomorrow.\"",
    "\"I won't be late,\" said {a} to {b}.",
    "\"I won't do that again,\" said {a}, and {b} smiled.",
    "\"I'd rather walk to {place},\" said {a}.",
    "\"I'd rather not wait for {b},\" said {a}.",
    "{A} told {b} that a diary is private.",
    "\"A letter is a private matter,\" said {a} to {b}.",
    "\"Is that fair?\" asked {a}. \"Let us be fair to all,\" said {b}.",
    "\"It would not be fair,\" said {a}, \"because {b} was here first.\"",
    "{A} told {b} that the ice near {place} is not safe.",
    "\"Come down from {place},\" said {a}, \"because somebody could get hurt.\"",
    "\"A rule is a rule,\" said {a}, and {b} nodded.",
    "\"The rules are for all of us,\" said {a} in {place}.",
    "\"That is not ours to take,\" said {a}. \"It belongs to somebody.\"",
    "\"It is not yours,\" said {a} to {b}, \"but I can help you find {thing}.\"",
    "\"That is not true,\" said {a} to {b}. \"Let us be honest.\"",
    "\"It would not be honest,\" said {a} to {b}.",
    "\"The work has to be done,\" said {a} at {place}.",
    "\"I can't do that alone,\" said {a}, and {b} came to help.",
    "\"I can't tell you the way,\" said {a}, \"because I am new in {village}.\"",
    "\"Tell me more about {place},\" said {b}, and {a} did.",
];

const ENDINGS: [&str; 6] = [
    "Then {a} went home.",
    "In the evening all was quiet.",
    "After that they had some tea.",
    "It was a good day.",
    "Then it began to rain.",
    "{B} was happy.",
];

/// Writes plain text about a village.
pub struct Stories<'w> {
    world: &'w World,
    chance: Chance,
}

impl<'w> Stories<'w> {
    /// All choices come from this stream.
    pub fn new(world: &'w World, chance: Chance) -> Self {
        Self { world, chance }
    }

    /// The next text: one sentence or several.
    pub fn next(&mut self) -> Result<String, String> {
        match self.chance.below(8) {
            0..3 => self.portrait(),
            3..7 => {
                let events = 1 + self.chance.below(4);
                self.story(events)
            }
            _ => {
                let events = 5 + self.chance.below(9);
                self.story(events)
            }
        }
    }

    /// What is true of a subject.
    fn portrait(&mut self) -> Result<String, String> {
        let subject = &self.world.subjects[self.chance.below(self.world.subjects.len())];
        let of_kind = QUESTIONS.iter().filter(|of| of.is_safe && of.kind == subject.kind);
        let mut sentences = of_kind.map(|of| of.answer(subject)).collect::<Result<Vec<_>, _>>()?;
        self.chance.shuffle(&mut sentences);
        sentences.truncate(1 + self.chance.below(6));
        Ok(sentences.join(" "))
    }

    /// What happens to two people, in so many sentences between a beginning and an end.
    fn story(&mut self, events: usize) -> Result<String, String> {
        let mut names = [WOMEN, MEN].concat();
        self.chance.shuffle(&mut names);
        let mut sentences = Vec::new();
        if events > 1 || self.chance.once_in(4) {
            sentences.push(self.sentence(&BEGINNINGS, &names)?);
        }
        for _ in 0..events {
            let about: &[&str] = if self.chance.once_in(3) { &TALK } else { &EVENTS };
            sentences.push(self.sentence(about, &names)?);
        }
        if events > 1 && self.chance.once_in(2) {
            sentences.push(self.sentence(&ENDINGS, &names)?);
        }
        Ok(sentences.join(" "))
    }

    fn sentence(&mut self, of: &[&str], names: &[&str]) -> Result<String, String> {
        let mut pair = [names[0], names[1]];
        self.chance.shuffle(&mut pair);
        let slots = Slots::default()
            .with("a", pair[0])
            .with("b", pair[1])
            .with("village", VILLAGE)
            .with("place", format!("the {}", self.chance.one(&PLACES)))
            .with("thing", self.chance.one(&THINGS))
            .with("weather", self.chance.one(&WEATHER))
            .with("time", self.chance.one(&TIMES))
            .with("number", self.chance.one(&NUMBERS));
        let template = self.chance.one(of);
        slots.fill(template)
    }
}
