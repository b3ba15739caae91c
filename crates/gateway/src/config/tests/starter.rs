//! The config that `tiergate init` writes.

use domain::{Label, TaskName};

use super::super::starter_config;
use super::load_in;

#[test]
fn it_works_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let config = load_in(folder.path(), starter_config()).unwrap();
    assert_eq!((config.tiers.len(), config.tasks.len()), (1, 2));
    assert!(config.warnings.is_empty());
}

#[test]
fn it_works_with_everything_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letters.jsonl.gz"), "").unwrap();
    let switched_on: Vec<&str> = starter_config()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(option) if !option.is_empty() && !option.starts_with(' ') => option,
            _ => line,
        })
        .collect();
    let config = load_in(folder.path(), &switched_on.join("\n")).unwrap();
    assert_eq!((config.tiers.len(), config.tasks.len()), (5, 4));
    assert_eq!(config.server.keys.len(), 1);
}

/// The starter model knows these words and no others.
#[test]
fn its_tasks_are_those_of_the_starter_model() {
    #[derive(serde::Deserialize)]
    struct Demo {
        tasks: std::collections::BTreeMap<String, DemoTask>,
    }
    #[derive(serde::Deserialize)]
    struct DemoTask {
        prompt: String,
        labels: Vec<DemoLabel>,
    }
    #[derive(serde::Deserialize)]
    struct DemoLabel {
        name: String,
        definition: String,
    }
    let demo: Demo = toml::from_str(include_str!("../../../demo/tiergate.toml")).unwrap();
    let config = load_in(tempfile::tempdir().unwrap().path(), starter_config()).unwrap();
    assert_eq!(demo.tasks.len(), 2);
    for (name, known) in demo.tasks {
        let task = &config.tasks[&TaskName::new(&name).unwrap()].task;
        let labels = known.labels.into_iter();
        let labels: Vec<Label> = labels
            .map(|label| Label {
                name: label.name,
                definition: Some(label.definition),
            })
            .collect();
        assert_eq!(task.prompt, known.prompt);
        assert!(task.labels.as_ref().unwrap().iter().eq(&labels));
    }
}
