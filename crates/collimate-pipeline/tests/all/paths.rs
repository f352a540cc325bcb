use std::fs;

use collimate_pipeline::Recipe;

use super::overrides;

#[test]
fn paths_are_relative_to_the_file_that_they_stand_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.yaml");
    fs::write(
        &path,
        "models: [./small, Fern-1B, embedded]\n\
         data: {paths: [a.jsonl, embedded, /abs.jsonl], template: chatml}\n\
         evaluation: {probes: p.jsonl}\n\
         output: {folder: out}\n\
         tracking: {database: ../runs.sqlite}\n",
    )
    .unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let checked = Recipe::read(&path, &[]).unwrap();
    let recipe = checked.recipe();
    let models: Vec<&str> = recipe.models.iter().map(|model| model.model.as_str()).collect();
    assert_eq!(models, [at("./small").as_str(), "Fern-1B", "embedded"]);
    assert_eq!(recipe.data.paths, [at("a.jsonl"), "embedded".into(), "/abs.jsonl".into()]);
    assert_eq!(recipe.data.template.as_deref(), Some("chatml"));
    assert_eq!(recipe.evaluation.probes, Some(at("p.jsonl")));
    assert_eq!(recipe.output.folder, folder.path().join("out"));
    assert_eq!(recipe.tracking.database, Some(folder.path().join("../runs.sqlite")));
    // Those of the command line are relative to where the program runs.
    let changes = overrides(&["data.paths.0=b.jsonl", "output.folder=out", "models.0=./small"]);
    let checked = Recipe::read(&path, &changes).unwrap();
    let recipe = checked.recipe();
    assert_eq!(recipe.data.paths, ["b.jsonl", "embedded", "/abs.jsonl"]);
    assert_eq!(recipe.output.folder.to_str(), Some("out"));
    assert_eq!(recipe.models[0].model, "./small");
    assert_eq!(recipe.evaluation.probes, Some(at("p.jsonl")));
}
