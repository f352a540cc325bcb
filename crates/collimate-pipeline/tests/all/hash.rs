use collimate_pipeline::{RecipeFormat, Section};

use super::parsed;

#[test]
fn a_hash_follows_what_is_meant_and_not_how_it_is_written() {
    let hash = |format, text: &str| parsed(format, text).unwrap().hash();
    let first = hash(RecipeFormat::Yaml, "seed: 1\ntraining: {epochs: 1, batch_size: 2}\n");
    assert_eq!(first.len(), 64);
    assert_eq!(
        first,
        hash(RecipeFormat::Toml, "seed = 1\n[training]\nbatch_size = 2\nepochs = 1.0\n")
    );
    // What follows by itself may be said as well.
    assert_eq!(
        first,
        hash(
            RecipeFormat::Yaml,
            "seed: 1\ntraining: {epochs: 1, batch_size: 2}\noutput: {form: both}\n"
        )
    );
    assert_ne!(first, hash(RecipeFormat::Yaml, "seed: 2\ntraining: {epochs: 1, batch_size: 2}\n"));
}

#[test]
fn sections_have_hashes_of_their_own() {
    let one = parsed(RecipeFormat::Yaml, "seed: 1\n").unwrap();
    let other = parsed(RecipeFormat::Yaml, "seed: 2\n").unwrap();
    let but_seed: Vec<Section> =
        Section::ALL.into_iter().filter(|section| *section != Section::Seed).collect();
    assert_eq!(one.hash_of(&but_seed), other.hash_of(&but_seed));
    assert_ne!(one.hash_of(&[Section::Seed]), other.hash_of(&[Section::Seed]));
    assert_eq!(
        one.hash_of(&[Section::Seed, Section::Data]),
        one.hash_of(&[Section::Data, Section::Seed, Section::Data])
    );
    assert_eq!(one.hash(), one.hash_of(&Section::ALL));
    // sha256sum of `{"seed":1}`.
    assert_eq!(one.hash_of(&[Section::Seed]), SEED_1);
}

const SEED_1: &str = "fbe47f6d82b435a89f6e6fca65ad16138195de06c5fc3ffb66826a76e64e479f";
