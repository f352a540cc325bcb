//! The people, places, things and games of the village, and what is true of each.

use crate::chance::Chance;
use crate::slots::Slots;
use crate::words::{
    Fact, GAMES, MEN, OF_GAME, OF_PERSON, OF_PLACE, OF_THING, PLACES, THINGS, TRADES, WOMEN,
};

/// What a question can be about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    Person,
    Place,
    Thing,
    Game,
}

/// Somebody or something, as it is spoken of.
#[derive(Debug)]
pub struct Subject {
    pub kind: Kind,
    /// What it is called in groups of prompts.
    pub name: String,
    /// Whether prompts about it are only there to measure on.
    pub is_held_out: bool,
    /// What the slots of templates stand for.
    slots: Slots,
}

impl Subject {
    fn new(kind: Kind, name: &str, is_held_out: bool) -> Self {
        Self { kind, name: name.to_owned(), is_held_out, slots: Slots::default() }
    }

    fn with(mut self, slot: &'static str, value: impl Into<String>) -> Self {
        self.slots = self.slots.with(slot, value);
        self
    }

    fn with_facts(mut self, facts: &[Fact], chance: &mut Chance) -> Self {
        for (slot, values) in facts {
            self = self.with(slot, chance.one(values));
        }
        self
    }

    /// A template about it, with its slots filled in.
    pub fn fill(&self, template: &str) -> Result<String, String> {
        self.slots.fill(template)
    }
}

/// All of the village.
pub struct World {
    /// Each person is there twice: by name and by trade.
    pub subjects: Vec<Subject>,
}

impl World {
    /// The village of a seed.
    pub fn new(seed: u64) -> Self {
        let chance = &mut Chance::new(seed, 0);
        let mut people: Vec<(&str, [&str; 3])> = Vec::new();
        people.extend(WOMEN.map(|name| (name, ["she", "her", "her"])));
        people.extend(MEN.map(|name| (name, ["he", "his", "him"])));
        chance.shuffle(&mut people);
        let mut subjects = Vec::new();
        let is_held_out = held_out(TRADES.len(), chance);
        for (at, ((trade, ware), (name, pronouns))) in TRADES.iter().zip(&people).enumerate() {
            let title = format!("the {trade}");
            let facts = Subject::new(Kind::Person, name, is_held_out[at])
                .with("ware", *ware)
                .with_facts(&OF_PERSON, chance);
            for (who, other) in [(*name, title.as_str()), (title.as_str(), *name)] {
                let mut subject = Subject::new(Kind::Person, who, is_held_out[at])
                    .with("who", who)
                    .with("whose", format!("{who}'s"))
                    .with("other", other)
                    .with("he", pronouns[0])
                    .with("his", pronouns[1])
                    .with("him", pronouns[2]);
                subject.slots = subject.slots.with_all(&facts.slots);
                subjects.push(subject);
            }
        }
        let is_held_out = held_out(PLACES.len(), chance);
        for (at, place) in PLACES.iter().enumerate() {
            let (lighter, maker) = (chance.one(&people).0, chance.one(&people).0);
            let subject = Subject::new(Kind::Place, place, is_held_out[at])
                .with("place", format!("the {place}"))
                .with("lighter", lighter)
                .with("maker", maker);
            subjects.push(subject.with_facts(&OF_PLACE, chance));
        }
        let is_held_out = held_out(THINGS.len(), chance);
        for (at, thing) in THINGS.iter().enumerate() {
            let bare = thing.split_once(' ').map_or(*thing, |(_, bare)| bare);
            let seller = chance.one(&TRADES).0;
            let subject = Subject::new(Kind::Thing, bare, is_held_out[at])
                .with("thing", *thing)
                .with("bare", bare)
                .with("seller", format!("the {seller}"));
            subjects.push(subject.with_facts(&OF_THING, chance));
        }
        let is_held_out = held_out(GAMES.len(), chance);
        for (at, game) in GAMES.iter().enumerate() {
            let subject = Subject::new(Kind::Game, game, is_held_out[at])
                .with("game", *game)
                .with("best", chance.one(&people).0);
            subjects.push(subject.with_facts(&OF_GAME, chance));
        }
        Self { subjects }
    }

    /// All of a kind.
    pub fn of_kind(&self, kind: Kind) -> Vec<&Subject> {
        self.subjects.iter().filter(|subject| subject.kind == kind).collect()
    }
}

/// Which of so many are held out: two of five.
fn held_out(count: usize, chance: &mut Chance) -> Vec<bool> {
    let mut chosen: Vec<bool> = (0..count).map(|at| at % 5 < 2).collect();
    chance.shuffle(&mut chosen);
    chosen
}
