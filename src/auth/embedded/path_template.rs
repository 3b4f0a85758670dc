//! A file path with variables. What a client sends as its name must not lead out of the folders that the
//! administrator named.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Component, Path, PathBuf},
};

use super::{subject::Subject, variables::Template};

/// A path as configured.
#[derive(Debug, Clone)]
pub(super) enum PathTemplate {
    Fixed(PathBuf),
    Variable {
        template: Template,
        /// Components of the path; values of variables add none.
        depth: usize,
    },
}

impl PathTemplate {
    /// `None` if there is a variable that is not known.
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let text = path.to_string_lossy();
        if !text.contains('%') {
            return Some(Self::Fixed(path.to_owned()));
        }
        Some(Self::Variable { template: Template::parse(&text)?, depth: path.components().count() })
    }

    pub(super) fn has_variables(&self) -> bool {
        matches!(self, Self::Variable { .. })
    }

    /// `None` if the values would lead elsewhere.
    pub(super) fn expand(&self, subject: &Subject) -> Option<PathBuf> {
        match self {
            Self::Fixed(path) => Some(path.clone()),
            Self::Variable { template, depth } => {
                let path = PathBuf::from(OsString::from_vec(template.expand(subject)));
                let plain = |c: Component<'_>| matches!(c, Component::RootDir | Component::Normal(_));
                (path.components().count() == *depth && path.components().all(plain)).then_some(path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use homing_login::{ClientIdentity, Service};
    use homing_wire::{Secret, SessionId};

    use super::*;

    fn expanded(path: &str, user: &str) -> Option<String> {
        let (remote, local) = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:143".parse().unwrap());
        let client = ClientIdentity::new(Service::Imap, remote, local, SessionId::generate(1, remote));
        let (user, original_user) = (user.to_owned(), user.to_owned());
        let subject = Subject { user, original_user, password: Secret::from("x"), client };
        let path = PathTemplate::parse(Path::new(path)).unwrap().expand(&subject)?;
        Some(path.to_string_lossy().into_owned())
    }

    #[test]
    fn values_are_filled_in() {
        assert_eq!(expanded("/etc/mail/users-%s", "a@b.c").unwrap(), "/etc/mail/users-imap");
        assert_eq!(expanded("/etc/%Ld/passwd", "a@B.c").unwrap(), "/etc/b.c/passwd");
        assert_eq!(expanded("/etc/passwd", "a@b.c").unwrap(), "/etc/passwd");
        assert!(PathTemplate::parse(Path::new("/etc/%y")).is_none());
    }

    #[test]
    fn names_do_not_lead_elsewhere() {
        for user in ["a@..", "a@.", "a@", "a@/", "a@../../root", "a@b/c"] {
            assert_eq!(expanded("/etc/%d/passwd", user), None, "{user}");
        }
        assert_eq!(expanded("/etc/%n%d/passwd", ".@."), None);
        assert_eq!(expanded("/etc/x-%d/passwd", "a@..").unwrap(), "/etc/x-../passwd");
    }
}
