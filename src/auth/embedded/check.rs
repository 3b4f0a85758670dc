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
    /// Wrong password, unknown user or not allowed; indistinguishable from outside.
    Refused,
    /// No passdb accepted, and one could not be asked: a temporary failure.
    Unknowable,
}

/// The first passdb that accepts decides; a broken one counts only if none accepts.
pub(super) fn check(passdbs: &[Passdb], subject: &Subject) -> Verdict {
    let mut broken = false;
    for passdb in passdbs {
        match ask(passdb, subject) {
            Verdict::Accepted(gathered) => return Verdict::Accepted(gathered),
            Verdict::Refused => {}
            Verdict::Unknowable => broken = true,
        }
    }
    if broken { Verdict::Unknowable } else { Verdict::Refused }
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
            return Verdict::Refused;
        }
        Lookup::Broken => return Verdict::Unknowable,
    };
    let mut gathered = Gathered { nopassword: entry.nopassword, ..Gathered::default() };
    gathered.set_all(&passdb.default_fields, subject);
    gathered.set_all(&entry.fields, subject);
    let verdict = verify(passdb, &entry, &mut gathered, subject);
    if !matches!(verdict, Verdict::Refused) || gathered.refused {
        return verdict;
    }
    tracing::debug!(target: "homing::auth", "{name}({who}): Password mismatch");
    Verdict::Refused
}

/// Refused logins are verified, too, so that they take as long.
fn verify(passdb: &Passdb, entry: &Entry, gathered: &mut Gathered, subject: &Subject) -> Verdict {
    let (name, who) = (passdb.name(), subject.label());
    let right = match Stored::parse(entry.stored.expose(), passdb.default_scheme) {
        Some(stored) if gathered.nopassword => {
            if !stored.is_empty() {
                tracing::error!(target: "homing::auth", "{name}({who}): nopassword set but password is non-empty");
            }
            stored.is_empty()
        }
        Some(stored) => match stored.verify(&subject.password) {
            Ok(right) => right,
            Err(error) => {
                tracing::error!(target: "homing::auth", "{name}({who}): {error}");
                return Verdict::Unknowable;
            }
        },
        None => {
            tracing::error!(target: "homing::auth", "{name}({who}): unknown password scheme");
            return Verdict::Unknowable;
        }
    };
    gathered.set_all(&passdb.override_fields, subject);
    if right && !gathered.refused { Verdict::Accepted(std::mem::take(gathered)) } else { Verdict::Refused }
}
