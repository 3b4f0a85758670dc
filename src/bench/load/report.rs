//! What the loader says on standard output: one line per step, for people or as JSON.

use serde_json::{Value, json};

use crate::bench::say;

/// Where steps are told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reporter {
    json: bool,
}

impl Reporter {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Tells a step.
    pub(super) fn tell(self, event: &str, facts: &Value) {
        say(&if self.json { as_json(event, facts) } else { as_text(event, facts) });
    }
}

fn as_json(event: &str, facts: &Value) -> String {
    let mut line = json!({ "event": event });
    if let (Some(line), Some(facts)) = (line.as_object_mut(), facts.as_object()) {
        line.extend(facts.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    line.to_string()
}

fn as_text(event: &str, facts: &Value) -> String {
    let mut line = format!("{event}:");
    for (key, value) in facts.as_object().into_iter().flatten() {
        if value.as_object().is_none_or(|map| !map.is_empty()) {
            line.push_str(&format!(" {key} {value}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_line() {
        let facts = json!({"done": 3, "reasons": {}});
        assert_eq!(as_json("login", &facts), r#"{"done":3,"event":"login","reasons":{}}"#);
        assert_eq!(as_text("login", &facts), "login: done 3");
    }
}
