//! The student through its public interface, on texts made here.

use domain::{Label, Labels};
use proptest::prelude::*;
use routing::evaluation::{Prediction, Report};
use routing::folds::{Folds, out_of_fold};
use routing::random::Random;
use routing::student::{Example, Student, StudentFileError, StudentOptions, TrainError};

fn labels(names: &[&str]) -> Labels {
    let label = |name: &&str| Label {
        name: (*name).to_owned(),
        definition: None,
    };
    Labels::new(names.iter().map(label).collect()).expect("the labels differ")
}

/// Texts about cards, loans and transfers, in which the class shows in a few words among noise.
fn texts(n: usize, seed: u64) -> Vec<(String, usize)> {
    const TOPICS: [&[&str]; 3] = [
        &["card", "pin", "chip", "contactless"],
        &["loan", "mortgage", "instalment", "rate"],
        &["transfer", "iban", "beneficiary", "wire"],
    ];
    const NOISE: [&str; 8] = [
        "please",
        "my",
        "today",
        "the",
        "account",
        "help",
        "yesterday",
        "branch",
    ];
    let mut random = Random::new(seed);
    let text = |random: &mut Random| {
        let label = random.below(3);
        let mut words: Vec<&str> = (0..6).map(|_| NOISE[random.below(NOISE.len())]).collect();
        words.insert(random.below(6), TOPICS[label][random.below(4)]);
        (words.join(" "), label)
    };
    (0..n).map(|_| text(&mut random)).collect()
}

fn examples(texts: &[(String, usize)]) -> Vec<Example<'_>> {
    texts
        .iter()
        .map(|(text, label)| Example {
            text,
            label: *label,
        })
        .collect()
}

fn trained() -> (Labels, Student) {
    let labels = labels(&["card", "loan", "transfer"]);
    let texts = texts(300, 1);
    let student = Student::train(&labels, &examples(&texts), &StudentOptions::default())
        .expect("the examples suffice");
    (labels, student)
}

#[test]
fn it_learns_what_the_words_say() {
    let (_, student) = trained();
    let unseen = texts(300, 2);
    let predictions: Vec<Prediction> = unseen
        .iter()
        .map(|(text, gold)| Prediction::of(&student.predict(text), *gold))
        .collect();
    let report = Report::new(&predictions, 3);
    assert!(
        report.accuracy.value().unwrap() > 0.98,
        "{:?}",
        report.accuracy
    );
    assert_eq!(student.support().iter().sum::<u32>(), 300);
}

#[test]
fn the_same_data_and_seed_give_the_same_bits_and_order_matters_by_seed_only() {
    let (labels, student) = trained();
    let texts = texts(300, 1);
    let again = Student::train(&labels, &examples(&texts), &StudentOptions::default()).unwrap();
    assert_eq!(student.to_bytes(), again.to_bytes());
    let options = StudentOptions {
        seed: 2,
        ..StudentOptions::default()
    };
    let other = Student::train(&labels, &examples(&texts), &options).unwrap();
    assert_ne!(student.to_bytes(), other.to_bytes());
}

#[test]
fn a_file_gives_the_same_student_again() {
    let (_, student) = trained();
    let read = Student::from_bytes(&student.to_bytes()).unwrap();
    assert_eq!(read, student);
    for (text, _) in texts(20, 3) {
        assert_eq!(read.predict(&text), student.predict(&text));
    }
}

#[test]
fn a_text_of_unknown_words_is_answered_without_confidence() {
    let (_, student) = trained();
    for text in ["", "\u{1f4b3}\u{1f4b3}\u{1f4b3}", "ﾝﾞ 𝔛 \0"] {
        assert!(student.predict(text).top().1 < 0.6, "{text}");
    }
}

#[test]
fn impossible_training_says_why() {
    let labels = labels(&["card", "loan", "transfer"]);
    let train = |examples: &[Example<'_>]| {
        Student::train(&labels, examples, &StudentOptions::default()).unwrap_err()
    };
    assert!(matches!(
        train(&[]),
        TrainError::TooFewLabels { labels_seen: 0, .. }
    ));
    let one = [Example {
        text: "lost my card",
        label: 0,
    }; 5];
    assert!(matches!(
        train(&one),
        TrainError::TooFewLabels { labels_seen: 1, .. }
    ));
    let strange = [
        Example {
            text: "a",
            label: 0,
        },
        Example {
            text: "b",
            label: 3,
        },
    ];
    assert!(matches!(
        train(&strange),
        TrainError::NoSuchLabel {
            example: 1,
            label: 3,
            ..
        }
    ));
    let apart = [
        Example {
            text: "aaaa",
            label: 0,
        },
        Example {
            text: "bbbb",
            label: 1,
        },
    ];
    assert!(matches!(train(&apart), TrainError::NothingInCommon { .. }));
    for c in [0.0, -1.0, f64::NAN, 1e9] {
        let options = StudentOptions {
            inverse_regularisation: c,
            ..StudentOptions::default()
        };
        let fault = Student::train(&labels, &apart, &options).unwrap_err();
        assert!(
            fault.to_string().starts_with("inverse_regularisation"),
            "{fault}"
        );
    }
}

#[test]
fn a_label_without_examples_is_named_and_not_answered() {
    let labels = labels(&["card", "loan", "transfer", "fraud"]);
    let texts = texts(200, 1);
    let student = Student::train(&labels, &examples(&texts), &StudentOptions::default()).unwrap();
    assert_eq!(student.unseen_labels(), [3]);
    assert!(
        texts
            .iter()
            .all(|(text, _)| student.predict(text).as_slice()[3] < 0.05)
    );
}

#[test]
fn out_of_fold_predictions_are_those_of_a_student_that_never_saw_the_record() {
    let labels = labels(&["card", "loan", "transfer"]);
    let texts = texts(60, 4);
    let examples = examples(&texts);
    let folds = Folds::new(60, 3, 9).unwrap();
    let options = StudentOptions::default();
    let predictions = out_of_fold(&labels, &examples, &options, &folds).unwrap();
    let seen: Vec<Example<'_>> = folds.train(1).into_iter().map(|i| examples[i]).collect();
    let student = Student::train(&labels, &seen, &options).unwrap();
    for record in folds.test(1) {
        assert_eq!(predictions[record], student.predict(&texts[record].0));
    }
}

/// What happens to gold or to oil, with words between the thing and what happens to it: single
/// words and neighbours say what is moved where, but not which of the two.
fn movements(n: usize, seed: u64) -> Vec<(String, usize)> {
    const BETWEEN: [&str; 4] = ["prices", "futures", "stocks", "contracts"];
    let mut random = Random::new(seed);
    let mut text = || {
        let between: Vec<&str> = (0..2).map(|_| BETWEEN[random.below(4)]).collect();
        let label = random.below(2);
        let (gold, oil) = [("up", "down"), ("down", "up")][label];
        let (a, b) = (between[0], between[1]);
        let text = if random.below(2) == 0 {
            format!("gold {a} {gold} today; oil {b} {oil} today")
        } else {
            format!("oil {a} {oil} today; gold {b} {gold} today")
        };
        (text, label)
    };
    (0..n).map(|_| text()).collect()
}

#[test]
fn near_pairs_are_chosen_where_they_help_and_only_there() {
    let chosen = |labels: &Labels, texts: &[(String, usize)]| {
        let examples = examples(texts);
        let options = StudentOptions::default().chosen_for(labels, &examples);
        options.unwrap()
    };
    let moved = labels(&["up", "down"]);
    let seen = movements(400, 1);
    let options = chosen(&moved, &seen);
    assert!(options.near_pairs);
    let right = |options: &StudentOptions| {
        let student = Student::train(&moved, &examples(&seen), options).unwrap();
        let unseen = movements(400, 2);
        let is_right = |(text, label): &&(String, usize)| student.predict(text).top().0 == *label;
        unseen.iter().filter(is_right).count()
    };
    assert!(right(&options) > right(&StudentOptions::default()));
    let topics = labels(&["card", "loan", "transfer"]);
    assert!(!chosen(&topics, &texts(400, 1)).near_pairs);
    let few = texts(60, 1);
    assert_eq!(chosen(&topics, &few), StudentOptions::default());
}

#[test]
fn every_cut_or_flipped_file_is_an_error() {
    let (_, student) = trained();
    let bytes = student.to_bytes();
    for end in (0..bytes.len()).step_by(97) {
        assert!(Student::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in (0..bytes.len()).step_by(89) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(Student::from_bytes(&flipped).is_err(), "flipped at {at}");
    }
    let mut newer = bytes.clone();
    newer[8] = 3;
    assert_eq!(
        Student::from_bytes(&newer),
        Err(StudentFileError::Version(3))
    );
    assert_eq!(
        Student::from_bytes(b"GGUF"),
        Err(StudentFileError::NotAStudent)
    );
}

/// The checksum of the format (FNV-1a), so that a forged file gets past it.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let step = |h: u64, &b: &u8| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    let sum = body.iter().fold(0xcbf2_9ce4_8422_2325, step);
    body.extend_from_slice(&sum.to_le_bytes());
    body
}

proptest! {
    #[test]
    fn a_forged_file_never_panics(at in 12_usize..400, word: u32, noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, student) = trained();
        let bytes = student.to_bytes();
        let mut body = bytes[..bytes.len() - 8].to_vec();
        body[at..at + 4].copy_from_slice(&word.to_le_bytes());
        if let Ok(read) = Student::from_bytes(&sealed(body)) {
            let _ = read.predict("my card and the loan");
        }
        let mut random = b"TGSTUDNT\x01\0\0\0".to_vec();
        random.extend(noise);
        prop_assert!(Student::from_bytes(&sealed(random)).is_err());
    }
}
