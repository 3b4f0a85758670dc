//! Properties of the grammar as a whole.

use super::{
    block::Builder,
    line::LogicalLines,
    position::Position,
    statement::{Raw, Statement},
};

/// Any text becomes a tree or errors, and ends.
#[test]
fn any_text_is_read_without_panic() {
    bolero::check!().with_type::<String>().for_each(|text| read(text));
}

/// The same with text that is nearly a configuration.
#[test]
fn any_order_of_statements_is_read_without_panic() {
    const WORDS: &[&str] = &[
        "a = b\n",
        "a = $a $b\n",
        "x {\n",
        "x y {\n",
        "}\n",
        "\\",
        "\"",
        "#",
        "=",
        "<",
        "plugin {\n",
        " ",
        "\n",
    ];
    bolero::check!().with_type::<Vec<u8>>().for_each(|choices| {
        let text: String = choices.iter().map(|n| WORDS[usize::from(*n) % WORDS.len()]).collect();
        read(&text);
    });
}

fn read(text: &str) {
    let start = Position::new(0, "f".into(), 1);
    let mut builder = Builder::new(start.clone(), |name| (name == "b").then_some("x"));
    let mut statements = 0;
    for line in LogicalLines::new(text) {
        assert!(line.number >= 1 && line.number <= text.lines().count());
        let Ok(statement) = Statement::parse(&line.text) else { continue };
        statements += 1;
        let position = start.at(line.number);
        match statement {
            Statement::Set { key, value } => {
                assert!(!key.is_empty());
                let _ = builder.set(key, value, position, |path| path.into());
            }
            Statement::Open { kind, name } => {
                let _ = builder.open(&kind, &name, position);
            }
            Statement::Close => {
                let _ = builder.close();
            }
            Statement::Include { .. } => {}
        }
    }
    assert!(statements <= text.lines().count());
    builder.finish();
}

#[test]
fn blocks_of_the_same_name_are_merged_in_place() {
    let start = Position::new(0, "f".into(), 1);
    let mut builder = Builder::new(start.clone(), |_| None);
    let literal = |text: &str| Raw::Literal(text.to_owned());
    for (name, key) in [("a", "x"), ("b", "x"), ("a", "y"), ("", "x"), ("", "y")] {
        builder.open("service", name, start.clone()).unwrap();
        builder.set(key.into(), literal("1"), start.clone(), |path| path.into()).unwrap();
        builder.close().unwrap();
    }
    let root = builder.finish();
    let shape: Vec<_> = root.blocks.iter().map(|block| (block.name.as_str(), block.settings.len())).collect();
    assert_eq!(shape, [("a", 2), ("b", 1), ("", 1), ("", 1)]);
}
