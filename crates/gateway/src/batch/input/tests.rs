use super::*;
use std::io::Write;

fn fields() -> Fields {
    Fields {
        text: "text".into(),
        id: "id".into(),
        gold: "gold".into(),
    }
}

fn rows_of(name: &str, bytes: &[u8]) -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    collect(&Input::open(&[path], fields(), 0..u64::MAX).unwrap())
}

fn collect(input: &Input) -> Vec<Row> {
    let mut rows = Vec::new();
    input
        .for_each(|row| {
            rows.push(row);
            true
        })
        .unwrap();
    rows
}

#[test]
fn every_line_of_jsonl_is_a_row_also_a_broken_one() {
    let rows = rows_of(
        "in.jsonl",
        b"{\"id\":\"a\",\"text\":\"one\",\"gold\":3}\n\nnot json\n{\"text\":\"  \"}\n{\"id\":7}\n{\"text\":\"last\"}",
    );
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids[0], "a");
    assert!(ids[1].ends_with("in.jsonl:2"));
    assert_eq!(ids[3], "7");
    assert_eq!(rows[0].gold.as_deref(), Some("3"));
    let reason = |row: &Row| row.text.clone().unwrap_err();
    assert!(reason(&rows[1]).contains("no JSON object"));
    assert!(reason(&rows[2]).contains("empty"));
    assert!(reason(&rows[3]).contains("no field `text`"));
    assert_eq!(rows[4].text.as_deref(), Ok("last"));
}

#[test]
fn gzip_is_known_by_its_bytes() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer
        .write_all(b"id,text\n1,\"a, b\"\n2,\xff\n3\n")
        .unwrap();
    let rows = rows_of("in.csv", &packer.finish().unwrap());
    assert_eq!(rows[0].text.as_deref(), Ok("a, b"));
    assert!(
        rows[1]
            .text
            .as_ref()
            .unwrap_err()
            .contains("not UTF-8 at byte 0")
    );
    assert!(
        rows[2]
            .text
            .as_ref()
            .unwrap_err()
            .contains("1 of 2 columns")
    );
}

#[test]
fn a_mark_of_utf8_at_the_beginning_is_no_text() {
    let marked = |text: &str| format!("\u{feff}{text}").into_bytes();
    let rows = [
        rows_of(
            "in.jsonl",
            &marked("{\"text\":\"one\"}\r\n{\"text\":\"two\"}\r\n"),
        ),
        rows_of("in.csv", &marked("text,id\r\none,1\r\ntwo,2\r\n")),
    ];
    for rows in rows {
        let texts: Vec<_> = rows.into_iter().map(|row| row.text.unwrap()).collect();
        assert_eq!(texts, ["one", "two"]);
    }
    assert_eq!(
        rows_of("in.txt", &marked("one"))[0].text.as_deref(),
        Ok("one")
    );
}

#[test]
fn a_folder_gives_its_text_files_in_order() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    for (name, text) in [("b/two.txt", "two"), ("a.md", "one"), ("c.png", "no")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let input = Input::open(&[folder.path().to_owned()], fields(), 0..u64::MAX).unwrap();
    let texts: Vec<_> = collect(&input)
        .into_iter()
        .map(|row| row.text.unwrap())
        .collect();
    assert_eq!(texts, ["one", "two"]);
}

#[test]
fn a_range_keeps_the_places_in_the_whole_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl");
    std::fs::write(&path, "{\"text\":\"a\"}\n".repeat(10)).unwrap();
    let input = Input::open(&[path.clone(), path], fields(), 8..12).unwrap();
    let ordinals: Vec<_> = collect(&input).iter().map(|row| row.ordinal).collect();
    assert_eq!(ordinals, [8, 9, 10, 11]);
    assert_eq!(input.survey().unwrap().rows, 4);
}

#[test]
fn a_torn_gzip_file_and_an_unknown_name_are_errors_that_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("in.jsonl.gz");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer
        .write_all("{\"text\":\"abc\"}\n".repeat(5000).as_bytes())
        .unwrap();
    let whole = packer.finish().unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let input = Input::open(std::slice::from_ref(&path), fields(), 0..u64::MAX).unwrap();
    assert!(
        input
            .survey()
            .unwrap_err()
            .to_string()
            .contains("in.jsonl.gz")
    );

    let odd = folder.path().join("in.xlsx");
    std::fs::write(&odd, "x").unwrap();
    let error = Input::open(&[odd], fields(), 0..u64::MAX).unwrap_err();
    assert!(error.to_string().contains("unknown kind of input"));
}
