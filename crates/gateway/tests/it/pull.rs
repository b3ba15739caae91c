//! `tiergate model pull`, `list` and `remove`: models fetched from servers that behave, and from
//! those that do not.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::mirror::{Mirror, Served, Trouble};
use crate::model::starter_file;
use crate::workplace::{LLAMA, Ran, Workplace, config, interrupt, matters};

/// A server with a real model at `/m/tiny.gguf`, and a place to fetch it to.
struct Scene {
    place: Workplace,
    mirror: Mirror,
    model: Vec<u8>,
}

const PATH: &str = "/m/tiny.gguf";

impl Scene {
    fn new() -> Self {
        let scene = Self {
            place: Workplace::new(),
            mirror: Mirror::start(),
            model: std::fs::read(starter_file()).unwrap(),
        };
        scene.mirror.put(PATH, Served::new(scene.model.clone()));
        scene
    }

    /// The program with the place's own folder of models.
    fn model(&self, args: &[&str]) -> Command {
        let mut command = self.place.tiergate(&["model"]);
        command
            .args(args)
            .env("TIERGATE_MODELS", self.place.path("models"));
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.model(args).output().unwrap())
    }

    fn pull(&self) -> Ran {
        self.run(&["pull", &self.mirror.url(PATH)])
    }

    /// Pulls from a repository of this server.
    fn pull_from(&self, repository: &str, more: &[&str]) -> Ran {
        let endpoint = self.mirror.url("");
        let args = [&["pull", repository, "--endpoint", &endpoint], more].concat();
        self.run(&args)
    }

    fn list(&self) -> Vec<Value> {
        let ran = self.run(&["list", "--json"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// Asserts that the model is there, whole, and nothing else is.
    fn assert_whole(&self) {
        let found = std::fs::read(self.place.path("models/tiny.gguf")).unwrap();
        assert!(found == self.model, "the file is the one that was served");
        let names = self.files();
        assert_eq!(names, ["tiny.gguf", "tiny.json"]);
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.place.path("models"));
        let names = entries.into_iter().flatten();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Starts a pull of which the server sends `bytes` and then nothing, and waits for them.
    fn hold(&self, bytes: usize) -> Child {
        let mut served = Served::new(self.model.clone());
        served.trouble.push_back(Trouble::Silence(bytes));
        self.mirror.put(PATH, served);
        let mut command = self.model(&["pull", &self.mirror.url(PATH)]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let part = self.place.path("models/tiny.gguf.part");
        let deadline = Instant::now() + Duration::from_secs(60);
        while std::fs::metadata(&part).map_or(0, |about| about.len()) < bytes as u64 {
            assert!(Instant::now() < deadline, "the part does not grow");
            std::thread::yield_now();
        }
        child
    }

    fn sent(&self) -> usize {
        self.mirror.asked().iter().map(|asked| asked.sent).sum()
    }
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn assert_fails(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for word in words {
        assert!(ran.err.contains(word), "`{word}` is not in {ran:?}");
    }
}

#[test]
fn a_model_is_fetched_listed_used_by_name_and_removed() {
    let scene = Scene::new();
    assert!(scene.list().is_empty());
    let ran = scene.pull();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(&sha256(&scene.model)), "{ran:?}");
    assert!(ran.out.contains("nobody stated"), "{ran:?}");
    scene.assert_whole();
    let listed = scene.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["name"], "tiny");
    assert_eq!(listed[0]["finished"], true);
    assert_eq!(listed[0]["size_bytes"], scene.model.len());
    assert_eq!(listed[0]["source"], scene.mirror.url(PATH));
    assert_eq!(listed[0]["sha256"], sha256(&scene.model));
    let people = scene.run(&["list"]);
    assert!(people.out.contains("tiny") && people.out.contains("2.40 MB"));

    let ran = scene.run(&["inspect", "tiny", "--json"]);
    assert_eq!(ran.summary()["sha256"], json!([sha256(&scene.model)]));
    assert_fails(
        &scene.run(&["inspect", "other"]),
        &["other", "tiergate model list"],
    );

    assert_fails(&scene.run(&["remove", "tiny"]), &["--yes"]);
    scene.assert_whole();
    assert_eq!(scene.run(&["remove", "tiny", "--yes"]).code, Some(0));
    assert!(scene.files().is_empty() && scene.list().is_empty());
    assert_fails(&scene.run(&["remove", "tiny", "--yes"]), &["no model tiny"]);
    assert_fails(&scene.run(&["remove", "../x", "--yes"]), &["../x"]);
}

#[test]
fn a_local_tier_finds_a_fetched_model_by_its_name() {
    let scene = Scene::new();
    let named = LLAMA.replace("starter", "tiny");
    let task = "threshold = 0.0";
    scene
        .place
        .write("tiergate.toml", config(&["llama"], &named, task));
    scene.place.write("in.jsonl", matters(3));
    let run = || {
        let mut command = scene
            .place
            .tiergate(&["run", "classify", "in.jsonl", "-o", "out.jsonl"]);
        command.env("TIERGATE_MODELS", scene.place.path("models"));
        Ran::from(command.output().unwrap())
    };
    let ran = run();
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(
        ran.err.contains("tiers.llama.model: \"tiny\" is no file"),
        "{ran:?}"
    );
    assert_eq!(scene.pull().code, Some(0));
    let ran = run();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(scene.place.results("out.jsonl").len(), 3);
    // A file of this name beside the config goes before the fetched model.
    scene.place.write("tiny", "no model");
    let ran = run();
    assert!(ran.code == Some(1) && ran.err.contains("GGUF"), "{ran:?}");
}

#[test]
fn what_is_there_is_not_fetched_again_and_not_overwritten() {
    let scene = Scene::new();
    assert_eq!(scene.pull().code, Some(0));
    let ran = scene.pull();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("there already"), "{ran:?}");
    assert_eq!(scene.sent(), scene.model.len());
    scene
        .mirror
        .put("/other/tiny.gguf", Served::new("GGUF other"));
    let other = scene.mirror.url("/other/tiny.gguf");
    assert_fails(
        &scene.run(&["pull", &other]),
        &["another model tiny", "--name"],
    );
    scene.assert_whole();
    // The same content from elsewhere is told by its hash.
    let hash = sha256(&scene.model);
    let ran = scene.run(&["pull", &other, "--sha256", &hash]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = scene.run(&["pull", &other, "--name", "second"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("engine can't use it"), "{ran:?}");
}

#[test]
fn a_connection_that_is_cut_is_gone_on_with_from_there() {
    let scene = Scene::new();
    let mut served = Served::new(scene.model.clone());
    served
        .trouble
        .extend([Trouble::Cut(700_000), Trouble::Cut(1_000_000)]);
    scene.mirror.put(PATH, served);
    let ran = scene.pull();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    scene.assert_whole();
    let asked = scene.mirror.asked();
    let ranges: Vec<Option<&str>> = asked.iter().map(|asked| asked.range.as_deref()).collect();
    let expected = [None, Some("bytes=700000-"), Some("bytes=1700000-")];
    assert_eq!(ranges, expected);
    assert_eq!(scene.sent(), scene.model.len(), "no byte came twice");
}

#[test]
fn a_server_that_keeps_cutting_is_given_up_and_what_came_is_kept() {
    let scene = Scene::new();
    let mut served = Served::new(scene.model.clone());
    served.trouble.push_back(Trouble::Cut(900_000));
    served.trouble.extend([Trouble::Cut(0); 5]);
    scene.mirror.put(PATH, served);
    assert_fails(&scene.pull(), &["cut the connection", "pull again"]);
    let listed = scene.list();
    assert_eq!(listed[0]["finished"], false);
    assert_eq!(listed[0]["bytes"], 900_000);
    let people = scene.run(&["list"]).out;
    assert!(
        people.contains("900.00 kB of 2.40 MB, unfinished"),
        "{people}"
    );
    assert_eq!(scene.pull().code, Some(0));
    scene.assert_whole();
    assert_eq!(scene.sent(), scene.model.len());
}

#[test]
fn a_killed_pull_goes_on_without_fetching_twice_what_is_there() {
    let scene = Scene::new();
    let mut child = scene.hold(1_500_000);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(scene.files(), ["tiny.gguf.part", "tiny.gguf.part.json"]);
    let ran = scene.pull();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.err.contains("going on at 1.50 MB of 2.40 MB"),
        "{ran:?}"
    );
    scene.assert_whole();
    assert_eq!(scene.sent(), scene.model.len(), "no byte came twice");
}

#[test]
fn an_interrupted_pull_says_that_it_can_go_on() {
    let scene = Scene::new();
    let child = scene.hold(1_000_000);
    interrupt(&child);
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.err.contains("what has come is kept"), "{ran:?}");
    assert_eq!(scene.pull().code, Some(0));
    assert_eq!(scene.sent(), scene.model.len(), "no byte came twice");
}

#[test]
fn of_two_pulls_at_once_one_fetches() {
    let scene = Scene::new();
    let mut first = scene.hold(1_000_000);
    assert_fails(&scene.pull(), &["another pull of this name is under way"]);
    // Another name is another matter.
    let ran = scene.run(&["pull", &scene.mirror.url(PATH), "--name", "second"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(scene.pull().code, Some(0));
}

#[test]
fn a_file_that_changed_in_between_is_fetched_anew() {
    for ignores_if_range in [false, true] {
        let scene = Scene::new();
        let mut child = scene.hold(1_000_000);
        child.kill().unwrap();
        child.wait().unwrap();
        let mut changed = scene.model.clone();
        let last = changed.len() - 1;
        changed[100_000] ^= 1;
        changed[last] ^= 1;
        let mut served = Served::new(changed.clone());
        served.etag = "\"v2\"";
        served.ignores_if_range = ignores_if_range;
        scene.mirror.put(PATH, served);
        let ran = scene.pull();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let found = std::fs::read(scene.place.path("models/tiny.gguf")).unwrap();
        assert!(found == changed, "nothing of the old file is left");
    }
}

#[test]
fn a_hash_that_is_wrong_leaves_no_model() {
    let scene = Scene::new();
    let url = scene.mirror.url(PATH);
    let wrong = "0".repeat(64);
    let ran = scene.run(&["pull", &url, "--sha256", &wrong]);
    assert_fails(&ran, &[&wrong, &sha256(&scene.model), "deleted"]);
    assert!(scene.files().is_empty());
    let right = sha256(&scene.model).to_uppercase();
    let ran = scene.run(&["pull", &url, "--sha256", &right]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("as it should be"), "{ran:?}");
    assert_eq!(scene.run(&["pull", &url, "--sha256", "12"]).code, Some(2));
}

/// A repository on the scene's server whose files lie on another; gives back that one.
fn repository(scene: &Scene, stated: &str, size: usize) -> Mirror {
    let storage = Mirror::start();
    storage.put("/blob", Served::new(scene.model.clone()));
    let about = [
        format!("x-linked-etag: \"{stated}\""),
        format!("x-linked-size: {size}"),
    ];
    let target = storage.url("/blob?signature=secret");
    let redirect = Served::redirect(&target, &about);
    scene
        .mirror
        .put("/o/n-GGUF/resolve/main/tiny-q8_0.gguf", redirect);
    let files = json!({ "siblings": [
        { "rfilename": "README.md", "size": 5 },
        { "rfilename": "tiny-q4_0.gguf", "size": 1_300_000 },
        { "rfilename": "tiny-q8_0.gguf", "size": scene.model.len() },
    ]});
    scene
        .mirror
        .put("/api/models/o/n-GGUF", Served::new(files.to_string()));
    storage
}

#[test]
fn a_repositorys_file_is_chosen_and_proven_by_its_own_hash() {
    let scene = Scene::new();
    let storage = repository(&scene, &sha256(&scene.model), scene.model.len());
    let ran = scene.pull_from("o/n-GGUF", &[]);
    assert_fails(
        &ran,
        &[
            "o/n-GGUF:tiny-q4_0.gguf  1.30 MB",
            "o/n-GGUF:tiny-q8_0.gguf",
        ],
    );
    let ran = scene.pull_from("o/n-GGUF:Q8", &["--name", "tiny"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("as it should be"), "{ran:?}");
    assert!(!ran.err.contains("secret"), "{ran:?}");
    scene.assert_whole();
    let record = scene.place.read("models/tiny.json");
    assert!(
        record.contains("/o/n-GGUF/resolve/main/tiny-q8_0.gguf"),
        "{record}"
    );
    assert_eq!(storage.asked()[0].path, "/blob?signature=secret");
    assert_fails(&scene.pull_from("o/none", &[]), &["404", "no such file"]);
}

#[test]
fn the_token_goes_to_the_repositorys_server_only_and_is_never_shown() {
    let scene = Scene::new();
    let storage = repository(&scene, &sha256(&scene.model), scene.model.len());
    let endpoint = scene.mirror.url("");
    let args = ["pull", "o/n-GGUF", "--file", "q8", "--endpoint", &endpoint];
    let output = scene.model(&args).env("HF_TOKEN", "hf_hush").output();
    let ran = Ran::from(output.unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let tokens = |mirror: &Mirror| -> Vec<Option<String>> {
        mirror
            .asked()
            .into_iter()
            .map(|asked| asked.token)
            .collect()
    };
    let sent = Some("Bearer hf_hush".to_owned());
    assert_eq!(tokens(&scene.mirror), [sent.clone(), sent]);
    assert_eq!(tokens(&storage), [None]);
    assert!(!ran.out.contains("hf_hush") && !ran.err.contains("hf_hush"));
    for file in scene.files() {
        let kept = std::fs::read(scene.place.path("models").join(file)).unwrap();
        assert!(!kept.windows(7).any(|bytes| bytes == b"hf_hush"));
    }
    // An address on another server never gets it.
    let url = storage.url("/blob");
    let args = ["pull", &url, "--name", "b", "--endpoint", &endpoint];
    let output = scene.model(&args).env("HF_TOKEN", "hf_hush").output();
    assert_eq!(output.unwrap().status.code(), Some(0));
    assert_eq!(tokens(&storage), [None, None]);

    let mut gated = Served::new("no");
    gated.status = 401;
    scene.mirror.put("/o/g/resolve/main/a.gguf", gated);
    assert_fails(&scene.pull_from("o/g:a.gguf", &[]), &["401", "HF_TOKEN"]);
    let output = scene.model(&args).env("HF_TOKEN", "hf_hush\n").output();
    let ran = Ran::from(output.unwrap());
    assert_fails(&ran, &["HF_TOKEN", "line break"]);
    assert!(!ran.err.contains("hush"), "{ran:?}");
}

#[test]
fn a_repository_that_lies_is_found_out() {
    let scene = Scene::new();
    let stated = "ab".repeat(32);
    let _storage = repository(&scene, &stated, scene.model.len());
    let ran = scene.pull_from("o/n-GGUF:tiny-q8_0.gguf", &[]);
    assert_fails(&ran, &[&stated, &sha256(&scene.model)]);
    assert!(scene.files().is_empty());
    // What is asked for and what is stated differ: nothing is fetched.
    let asked = sha256(&scene.model);
    let ran = scene.pull_from("o/n-GGUF:tiny-q8_0.gguf", &["--sha256", &asked]);
    assert_fails(&ran, &["nothing was fetched"]);
    let _storage = repository(&scene, &sha256(&scene.model), 1_000_000);
    let ran = scene.pull_from("o/n-GGUF:tiny-q8_0.gguf", &[]);
    assert_fails(&ran, &["2400864 bytes", "1000000"]);
}

#[test]
fn what_can_not_be_fetched_is_told_with_what_to_do() {
    let scene = Scene::new();
    let mut page = Served::new("<!doctype html>");
    page.headers.push("content-type: text/html".to_owned());
    scene.mirror.put("/page.gguf", page);
    let ran = scene.run(&["pull", &scene.mirror.url("/page.gguf")]);
    assert_fails(&ran, &["no GGUF file", "<!do"]);
    assert!(scene.files().is_empty());

    let mut vast = Served::new(scene.model.clone());
    vast.headers
        .push("content-length: 100000000000000000".to_owned());
    scene.mirror.put("/vast.gguf", vast);
    let ran = scene.run(&["pull", &scene.mirror.url("/vast.gguf")]);
    assert_fails(&ran, &["has no room", "--models"]);

    for (source, words) in [
        ("http://example.com/a.gguf", "https"),
        ("https://example.com/o/n/blob/main/a.gguf", "/resolve/"),
        ("llama", "owner/name"),
        ("https://user:word@example.com/a.gguf", "password"),
    ] {
        assert_fails(&scene.run(&["pull", source]), &[words]);
    }
    let nameless = scene.mirror.url("/m/");
    assert_fails(&scene.run(&["pull", &nameless]), &["--name"]);
    scene.mirror.put("/empty.gguf", Served::new(""));
    let empty = scene.mirror.url("/empty.gguf");
    assert_fails(&scene.run(&["pull", &empty]), &["0 bytes"]);
    let dead = format!("http://{}/a.gguf", standin::own_address());
    assert_fails(
        &scene.run(&["pull", &dead]),
        &["can't be reached", "--endpoint"],
    );
    assert!(scene.files().is_empty(), "{:?}", scene.files());
}

#[test]
fn without_a_home_the_folder_must_be_named() {
    let scene = Scene::new();
    let ran = scene.place.run(&["model", "list"]);
    assert_fails(&ran, &["--models"]);
    let url = scene.mirror.url(PATH);
    let ran = scene
        .place
        .run(&["model", "pull", &url, "--models", "here"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(scene.place.path("here/tiny.gguf").exists());
    let mut command = scene.place.tiergate(&["model", "pull", &url]);
    let output = command.env("HOME", scene.place.path("home")).output();
    assert_eq!(output.unwrap().status.code(), Some(0));
    let path = "home/.local/share/tiergate/models/tiny.gguf";
    assert!(scene.place.path(path).exists());
}
