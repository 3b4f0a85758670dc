//! A driver for one backend dialogue: it plays what a backend says and shows what comes out as text.

use homing_login::{BackendDialogue, BackendInput, BackendLogin, BackendOutput, Service, UserName};
use homing_wire::Secret;

use crate::identity;

/// User `alice` with password `alicepw` in the plain way.
pub fn login(service: Service) -> BackendLogin {
    BackendLogin {
        user: UserName::from("alice"),
        password: Secret::from("alicepw"),
        master: None,
        mechanism: None,
        starttls: false,
        tls: false,
        not_trusted: false,
        no_pipelining: false,
        client: identity(service, false),
        forward: Vec::new(),
        ask_capabilities: false,
        known_capabilities: None,
    }
}

/// All outputs there are: lines sent as they are with `/` for CR LF, others in `<>`, separated by spaces.
pub fn drain(backend: &mut impl BackendDialogue) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "/");
    let outputs = std::iter::from_fn(|| backend.poll_output()).map(|output| match output {
        BackendOutput::Send(bytes) => text(bytes.expose()),
        BackendOutput::StartTls => "<starttls>".to_owned(),
        BackendOutput::ClientLine(line) => format!("<line {}>", text(&line)),
        BackendOutput::Warning(text) => format!("<warning {text}>"),
        BackendOutput::LoggedIn(s) => {
            let known = s.capabilities.map(|c| format!(" [{c}]")).unwrap_or_default();
            format!("<in {}{known} + {}>", text(&s.reply), text(&s.unread))
        }
        BackendOutput::Failed(f) => {
            let reply = f.reply.as_deref().map(|r| format!(" => {}", text(r))).unwrap_or_default();
            format!("<{:?}: {}{reply}>", f.class, f.text)
        }
    });
    outputs.collect::<Vec<_>>().join(" ")
}

/// Feeds what the backend says (`\n` stands for CR LF, `TLS` for a finished handshake) in segments.
pub fn feed(backend: &mut impl BackendDialogue, said: &str, step: usize) -> String {
    if said == "TLS" {
        backend.handle(BackendInput::TlsUp);
        return drain(backend);
    }
    for segment in said.replace('\n', "\r\n").as_bytes().chunks(step) {
        backend.handle(BackendInput::Bytes(segment));
    }
    drain(backend)
}

/// Plays a list of what the backend says and what comes out: whole, byte by byte, in fives and in sevens.
pub fn play<B: BackendDialogue>(new: impl Fn() -> B, steps: &[(&str, &str)]) {
    for step in [usize::MAX, 1, 5, 7] {
        let mut backend = new();
        for (said, expected) in steps {
            assert_eq!(feed(&mut backend, said, step), *expected, "after {said:?}, {step} bytes at a time");
        }
    }
}

/// All that comes out for these bytes; what arrived behind a success is what the backend said and was not read.
/// `check` looks at the dialogue after each segment.
pub fn run<B: BackendDialogue>(mut backend: B, said: &[u8], step: usize, check: impl Fn(&B)) -> Vec<String> {
    let (mut outputs, mut later): (Vec<BackendOutput>, Vec<u8>) = (Vec::new(), Vec::new());
    for segment in said.chunks(step) {
        if matches!(outputs.last(), Some(BackendOutput::LoggedIn(_))) {
            later.extend_from_slice(segment);
        }
        backend.handle(BackendInput::Bytes(segment));
        outputs.extend(std::iter::from_fn(|| backend.poll_output()));
        check(&backend);
    }
    let ends = |o: &BackendOutput| matches!(o, BackendOutput::LoggedIn(_) | BackendOutput::Failed(_));
    assert!(outputs.iter().rev().skip(1).all(|o| !ends(o)), "{outputs:?}");
    if let Some(BackendOutput::LoggedIn(success)) = outputs.last_mut() {
        let unread = [&success.unread[..], &later].concat();
        let read = said.strip_suffix(&unread[..]).unwrap();
        assert!(read.ends_with(b"\r\n") && read[..read.len() - 2].ends_with(&success.reply));
        success.unread = unread.into();
    }
    let sent = |o: &BackendOutput| match o {
        BackendOutput::Send(bytes) => String::from_utf8_lossy(bytes.expose()).into_owned(),
        other => format!("{other:?}"),
    };
    outputs.iter().map(sent).collect()
}
