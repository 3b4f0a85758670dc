//! Asks the passdbs in order whether the password is right. Blocks: reads files and hashes.

use super::{
    fields::Gathered,
    passdb::{Entry, Lookup, Passdb},
    scheme::Stored,
    subject::Subject,
};

/// The outcome of all passdbs.
pub(super) enum Verdict {
    Accepted(Gathered),
    /// Wrong password, unknown user or not allowed; indistinguishable from outside. With the name that a passdb has given
    /// to the user, if it has.
    Refused(Option<String>),
    /// No passdb accepted, and one could not be asked: a temporary failure.
    Unknowable,
}

/// The first passdb that accepts decides; a broken one counts only if none accepts.
pub(super) fn check(passdbs: &[Passdb], subject: &Subject) -> Verdict {
    let (mut broken, mut name) = (false, None);
    for passdb in passdbs {
        match ask(passdb, subject) {
            Verdict::Accepted(gathered) => return Verdict::Accepted(gathered),
            Verdict::Refused(changed) => name = changed.or(name),
            Verdict::Unknowable => broken = true,
        }
    }
    if broken { Verdict::Unknowable } else { Verdict::Refused(name) }
}

fn ask(passdb: &Passdb, subject: &Subject) -> Verdict {
    let (name, who) = (passdb.name(), subject.label());
    let entry = match passdb.lookup(subject) {
        Lookup::Found(entry) => entry,
        Lookup::Unknown(sample) => {
            tracing::debug!(target: "homing::auth", "{name}({who}): unknown user");
            let stored = sample.unwrap_or_default();
            if let Some(stored) = Stored::parse(stored.expose(), passdb.default_scheme) {
                // Only the time it takes matters.
                let _ = stored.verify(&subject.password);
            }
            return Verdict::Refused(None);
        }
        Lookup::Broken => return Verdict::Unknowable,
    };
    let mut gathered = Gathered { nopassword: entry.nopassword, ..Gathered::default() };
    gathered.set_all(&passdb.default_fields, subject);
    gathered.set_all(&entry.fields, subject);
    match verify(passdb, &entry, &gathered, subject) {
        None => Verdict::Unknowable,
        Some(true) if !gathered.refused => {
            gathered.set_all(&passdb.override_fields, subject);
            // The last word may be one of refusal.
            if gathered.refused { Verdict::Refused(gathered.user) } else { Verdict::Accepted(gathered) }
        }
        Some(right) => {
            if !right {
                tracing::debug!(target: "homing::auth", "{name}({who}): Password mismatch");
            }
            Verdict::Refused(gathered.user)
        }
    }
}

/// Whether the password is right; `None` if that cannot be said. Those who are refused anyway are verified, too, so
/// that they take as long.
fn verify(passdb: &Passdb, entry: &Entry, gathered: &Gathered, subject: &Subject) -> Option<bool> {
    let (name, who) = (passdb.name(), subject.label());
    let Some(stored) = Stored::parse(entry.stored.expose(), passdb.default_scheme) else {
        tracing::error!(target: "homing::auth", "{name}({who}): unknown password scheme");
        return None;
    };
    if gathered.nopassword {
        if !stored.is_empty() {
            tracing::error!(target: "homing::auth", "{name}({who}): nopassword set but password is non-empty");
        }
        return Some(stored.is_empty());
    }
    let verified = stored.verify(&subject.password);
    verified.inspect_err(|error| tracing::error!(target: "homing::auth", "{name}({who}): {error}")).ok()
}
