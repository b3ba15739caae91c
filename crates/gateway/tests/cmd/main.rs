//! The command line from outside: one case for each file beside this one.

#[test]
fn cases() {
    trycmd::TestCases::new().case("tests/cmd/*.toml");
}
