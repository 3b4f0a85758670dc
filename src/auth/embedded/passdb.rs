//! One passdb: where a user's stored password and fields come from.

use homing_wire::Secret;

use super::{
    fields::FieldTemplate,
    passwd_file::PasswdFile,
    scheme::{Scheme, Stored},
    subject::Subject,
    variables::Template,
};
use crate::{auth::AuthError, config::settings::PassdbSettings};

/// A passdb with its settings understood.
pub(super) struct Passdb {
    driver: Driver,
    /// Of passwords without `{SCHEME}`.
    pub(super) default_scheme: Scheme,
    /// Before and after the fields of the database.
    pub(super) default_fields: Vec<FieldTemplate>,
    pub(super) override_fields: Vec<FieldTemplate>,
}

enum Driver {
    PasswdFile(PasswdFile),
    /// The password may have variables, too; `None`: any password will do.
    Static(Option<Template>, Vec<FieldTemplate>),
}

/// What a passdb has for one user.
#[derive(Debug)]
pub(super) struct Entry {
    /// As written, `{SCHEME}` included.
    pub(super) stored: Secret,
    pub(super) fields: Vec<FieldTemplate>,
    pub(super) nopassword: bool,
}

/// The outcome of a lookup.
pub(super) enum Lookup {
    Found(Entry),
    /// No such user. With somebody else's stored password, to take as long as for a known user.
    Unknown(Option<Secret>),
    /// The database cannot be read; the reason is in the log.
    Broken,
}

impl Passdb {
    pub(super) fn new(settings: &PassdbSettings) -> Result<Self, AuthError> {
        match settings {
            PassdbSettings::PasswdFile(file) => Ok(Self {
                driver: Driver::PasswdFile(PasswdFile::new(file)?),
                default_scheme: scheme(&file.default_scheme)?,
                default_fields: templates(&file.default_fields)?,
                override_fields: templates(&file.override_fields)?,
            }),
            PassdbSettings::Static(settings) => {
                let password = settings.password.as_deref().map(static_password).transpose()?;
                Ok(Self {
                    driver: Driver::Static(password, templates(&settings.fields)?),
                    default_scheme: Scheme::Plain,
                    default_fields: Vec::new(),
                    override_fields: Vec::new(),
                })
            }
        }
    }

    pub(super) fn lookup(&self, subject: &Subject) -> Lookup {
        match &self.driver {
            Driver::PasswdFile(file) => file.lookup(subject),
            Driver::Static(password, fields) => Lookup::Found(Entry {
                stored: password.as_ref().map(|text| Secret::new(text.expand(subject))).unwrap_or_default(),
                fields: fields.clone(),
                nopassword: password.is_none(),
            }),
        }
    }

    /// For log lines.
    pub(super) fn name(&self) -> &'static str {
        match &self.driver {
            Driver::PasswdFile(_) => "passwd-file",
            Driver::Static(..) => "static",
        }
    }
}

/// A scheme that is not known would refuse everybody. The password itself is in no error.
fn static_password(text: &str) -> Result<Template, AuthError> {
    if Stored::parse(text.as_bytes(), Scheme::Plain).is_none() {
        return Err(AuthError::UnknownScheme("of the static password".to_owned()));
    }
    Template::parse(text).ok_or_else(|| AuthError::UnknownVariable("the static password".to_owned()))
}

fn scheme(name: &str) -> Result<Scheme, AuthError> {
    Scheme::parse(name.as_bytes()).ok_or_else(|| AuthError::UnknownScheme(name.to_owned()))
}

fn templates(words: &[String]) -> Result<Vec<FieldTemplate>, AuthError> {
    let template =
        |word: &String| FieldTemplate::parse(word).ok_or_else(|| AuthError::UnknownVariable(word.clone()));
    words.iter().filter(|word| !word.is_empty()).map(template).collect()
}
