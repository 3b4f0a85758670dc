//! Reads PEM. The only file that knows the PEM crate.
//!
//! `rustls-pemfile` is archived (RUSTSEC-2025-0134, "unmaintained", no defect known); since 2.2.0 it only
//! wraps the parser of `rustls-pki-types`. The way out is to call `PemObject` of that crate here; nothing
//! outside this file changes then.

use std::path::PathBuf;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls_pemfile::Item;
use zeroize::Zeroizing;

use super::TlsError;
use crate::config::settings::Pem;

/// Largest PEM file read, in bytes. The bundles of public roots have about 250 KiB; CRLs may be larger.
const PEM_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What `ssl_ca` holds.
pub(super) struct Authorities {
    /// At least one.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// Any number.
    pub(super) revocations: Vec<CertificateRevocationListDer<'static>>,
}

/// The chain, leaf first; other sections are passed over, since many sites keep key and chain in one file.
pub(super) fn chain(pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = items(pem)?.into_iter().filter_map(certificate).collect();
    if chain.is_empty() { Err(bad(pem, "no CERTIFICATE section found")) } else { Ok(chain) }
}

/// The first private key.
pub(super) fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(pem)?;
    let key = parse(pem, &text)?.into_iter().find_map(|item| match item {
        Item::Pkcs1Key(key) => Some(key.into()),
        Item::Pkcs8Key(key) => Some(key.into()),
        Item::Sec1Key(key) => Some(key.into()),
        _ => None,
    });
    key.ok_or_else(|| {
        let encrypted = contains(&text, b"ENCRYPTED");
        bad(pem, if encrypted { "the private key is encrypted" } else { "no PRIVATE KEY section found" })
    })
}

/// Trusted certificates and CRLs.
pub(super) fn authorities(pem: &Pem) -> Result<Authorities, TlsError> {
    let mut found = Authorities { certificates: Vec::new(), revocations: Vec::new() };
    for item in items(pem)? {
        match item {
            Item::X509Certificate(cert) => found.certificates.push(cert),
            Item::Crl(crl) => found.revocations.push(crl),
            _ => {}
        }
    }
    if found.certificates.is_empty() { Err(bad(pem, "no CERTIFICATE section found")) } else { Ok(found) }
}

/// How messages call it.
pub(super) fn name(pem: &Pem) -> String {
    path(pem).map_or_else(|| "(inline PEM)".to_owned(), |path| path.display().to_string())
}

/// The file to watch, if it is one.
pub(super) fn path(pem: &Pem) -> Option<&PathBuf> {
    match pem {
        Pem::File(path) => Some(path),
        Pem::Inline(_) => None,
    }
}

fn certificate(item: Item) -> Option<CertificateDer<'static>> {
    match item {
        Item::X509Certificate(cert) => Some(cert),
        _ => None,
    }
}

fn items(pem: &Pem) -> Result<Vec<Item>, TlsError> {
    parse(pem, &read(pem)?)
}

fn parse(pem: &Pem, text: &[u8]) -> Result<Vec<Item>, TlsError> {
    // The parser's own error can quote the line it failed at, which may be part of a key.
    rustls_pemfile::read_all(&mut &*text)
        .collect::<Result<_, _>>()
        .map_err(|_| bad(pem, "not valid PEM (a section has no end, or is not base64)"))
}

fn read(pem: &Pem) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    match pem {
        Pem::Inline(text) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        Pem::File(path) => {
            let unreadable =
                |e: std::io::Error| TlsError::Unreadable { file: name(pem), cause: e.to_string() };
            if std::fs::metadata(path).map_err(unreadable)?.len() > PEM_BYTES_MAX {
                return Err(bad(pem, "too large"));
            }
            std::fs::read(path).map(Zeroizing::new).map_err(unreadable)
        }
    }
}

fn bad(pem: &Pem, problem: &str) -> TlsError {
    TlsError::BadPem { file: name(pem), problem: problem.to_owned() }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_missing_and_never_quote() {
        let inline = |text: &str| Pem::Inline(text.to_owned());
        let text = chain(&inline("nothing")).unwrap_err().to_string();
        assert_eq!(text, "(inline PEM): no CERTIFICATE section found");
        let broken = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!!\n-----END PRIVATE KEY-----\n";
        let text = private_key(&inline(broken)).unwrap_err().to_string();
        assert!(text.contains("not valid PEM") && !text.contains("c2Vj"), "{text}");
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(private_key(&inline(locked)).unwrap_err().to_string().contains("is encrypted"));
        let absent = Pem::File("/nonexistent/x.pem".into());
        assert!(chain(&absent).unwrap_err().to_string().starts_with("/nonexistent/x.pem: "));
    }

    /// Pieces that broken files are made of.
    const PIECES: [&str; 12] = [
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----BEGIN X509 CRL-----\r\n",
        "-----END X509 CRL-----\r\n",
        "ENCRYPTED",
        "c2VjcmV0",
        "-----",
        "\n",
        "Proc-Type: 4,ENCRYPTED\n\n",
    ];

    #[test]
    fn any_text_is_read_or_refused_in_known_words() {
        const WORDS: [&str; 4] = [
            "(inline PEM): no CERTIFICATE section found",
            "(inline PEM): no PRIVATE KEY section found",
            "(inline PEM): the private key is encrypted",
            "(inline PEM): not valid PEM (a section has no end, or is not base64)",
        ];
        bolero::check!().with_type::<Vec<u8>>().for_each(|choices| {
            let piece = |c: &u8| match *c {
                n @ 0..192 => PIECES[usize::from(n) % PIECES.len()].to_owned(),
                byte => char::from(byte).to_string(),
            };
            let pem = Pem::Inline(choices.iter().map(piece).collect());
            let errors = [chain(&pem).err(), private_key(&pem).err(), authorities(&pem).err()];
            for error in errors.into_iter().flatten() {
                let text = error.to_string();
                assert!(WORDS.contains(&text.as_str()), "{text}");
            }
        });
    }
}
