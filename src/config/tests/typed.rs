//! What rooms get.

use std::{path::PathBuf, time::Duration};

use homing_login::Service;

use super::{Site, load, samples, site};
use crate::config::settings::{
    AdminSettings, AdminSocket, AuthSource, LogFormat, LogTarget, PassdbSettings, PasswdFileSettings, Pem,
    Settings, SocketFile, SocketPlace, SocketRole, SocketSettings, SslMode, StaticSettings, TlsVersion,
};

fn settings(text: &str) -> Settings {
    let outcome = site(text).load();
    outcome.settings.unwrap_or_else(|| panic!("{}", outcome.report))
}

fn listeners(settings: &Settings) -> Vec<String> {
    let line = |l: &crate::config::settings::ListenerSettings| {
        let ssl = if l.ssl { " ssl" } else { "" };
        let haproxy = if l.haproxy { " haproxy" } else { "" };
        format!("{} {} {}{ssl}{haproxy}", l.service.auth_name(), l.name, l.address)
    };
    settings.listeners.iter().map(line).collect()
}

const CERTIFICATE: &str = "ssl_cert = <c.conf\nssl_key = <c.conf\n";

#[test]
fn defaults() {
    let s = settings("");
    assert_eq!(s.process.base_dir, PathBuf::from("/run/dovecot"));
    assert_eq!(s.process.instance_name, "dovecot");
    assert!(!s.process.hostname.is_empty());
    assert!(s.process.shutdown_clients && s.process.shutdown_farewell && s.process.kick_farewell);
    assert!(s.metrics.places.is_empty());
    assert_eq!(s.process.login_user, None);
    assert_eq!(s.log.target, LogTarget::Syslog);
    assert_eq!(s.log.format, LogFormat::Dovecot);
    assert_eq!(s.log.timestamp, "%b %d %H:%M:%S ");
    assert_eq!(s.log.elements.len(), 7);
    assert_eq!(s.login.imap.greeting, "Dovecot ready.");
    assert!(s.login.imap.disable_plaintext);
    assert_eq!(s.login.pop3.connections_max, 100_000);
    assert_eq!(s.login.imap.imap.id_send, "name *");
    assert_eq!(s.auth.source, AuthSource::Socket("/run/dovecot/auth-login".into()));
    assert_eq!(s.auth.failure_delay_millis, 2000);
    assert_eq!(s.auth.master_user_separator, None);
    assert_eq!(s.director.user_expire, Duration::from_secs(900));
    assert_eq!(s.director.username_hash, "%Lu");
    assert!(s.director.mail_servers.is_empty());
    assert_eq!((s.director.parallel_moves_max, s.relay.parallel_kicks_max), (100, 100));
    assert_eq!(s.backend.timeout, Duration::from_secs(30));
    assert_eq!(s.backend.reconnects_max, 3);
    assert_eq!(s.backend.disconnect_delay_max, Duration::ZERO);
    assert!(s.backend.require_valid_cert && s.backend.ca.is_none() && s.backend.source_ips.ips.is_empty());
    assert_eq!(s.proxy_header.timeout, Duration::from_secs(3));
    assert_eq!(s.tls.min_version, TlsVersion::V12);
    assert_eq!(s.tls.username_field, "commonName");
}

#[test]
fn listeners_follow_protocols_ssl_and_listen() {
    assert_eq!(listeners(&settings("")), ["imap imap 127.0.0.1:143"]);
    assert_eq!(
        listeners(&settings(&format!("protocols = sieve pop3 imap\nssl = required\n{CERTIFICATE}"))),
        [
            "sieve sieve 127.0.0.1:4190",
            "pop3 pop3 127.0.0.1:110",
            "pop3 pop3s 127.0.0.1:995 ssl",
            "imap imap 127.0.0.1:143",
            "imap imaps 127.0.0.1:993 ssl",
        ]
    );
    assert_eq!(
        listeners(&settings("listen = *, ::, [::1] 192.0.2.1 localhost *")).first_chunk::<4>().unwrap(),
        &["imap imap 0.0.0.0:143", "imap imap [::]:143", "imap imap [::1]:143", "imap imap 192.0.2.1:143"]
    );
}

#[test]
fn listeners_as_blocks_change_them() {
    let text = format!(
        "ssl = yes\n{CERTIFICATE}service imap-login {{
 inet_listener imap {{\n  port = 0\n }}
 inet_listener imaps {{\n  port = 1993\n }}
 inet_listener proxied {{\n  port = 10143\n  haproxy = yes\n  address = 127.0.0.2 127.0.0.3\n }}
 inet_listener other {{\n  port = 10993\n  ssl = yes\n }}
 inet_listener silent {{\n }}\n}}\n"
    );
    assert_eq!(
        listeners(&settings(&text)),
        [
            "imap imaps 127.0.0.1:1993 ssl",
            "imap proxied 127.0.0.2:10143 haproxy",
            "imap proxied 127.0.0.3:10143 haproxy",
            "imap other 127.0.0.1:10993 ssl",
        ]
    );
    assert_eq!(listeners(&settings(&(text + "ssl = no"))).len(), 2, "ssl = no removes the TLS listeners");
}

#[test]
fn protocol_blocks_change_logins() {
    let s = settings(
        "login_greeting = all\nprotocol imap {\n login_greeting = $login_greeting imap\n imap_capability = +X\n}
protocol !pop3 {\n disable_plaintext_auth = no\n}\nprotocol sieve {\n login_trusted_networks = 10.0.0.0/8\n}",
    );
    let of = |service| s.login.of(service);
    assert_eq!(of(Service::Imap).greeting, "all imap");
    assert_eq!(of(Service::Pop3).greeting, "all");
    assert_eq!(of(Service::Imap).imap.capability, "+X");
    assert_eq!(
        [Service::Imap, Service::Pop3, Service::Sieve].map(|p| of(p).disable_plaintext),
        [false, true, false]
    );
    assert!(of(Service::Sieve).trusts("10.1.2.3".parse().unwrap()));
    assert!(!of(Service::Imap).trusts("10.1.2.3".parse().unwrap()));
}

#[test]
fn limits_of_processes_become_limits_of_connections() {
    for (text, connections) in [
        ("", 100_000),
        (" process_min_avail = 4\n", 100_000),
        (" process_limit = 512\n", 512),
        (" service_count = 1\n", 100),
        (" service_count = 0\n", 100_000),
        (" service_count = 0\n client_limit = 5000\n process_limit = 2\n", 10_000),
        (" client_limit = 5000\n", 100),
    ] {
        let s = settings(&format!("service imap-login {{\n{text}}}\n"));
        assert_eq!(s.login.imap.connections_max, connections, "{text}");
    }
    let s = settings("default_process_limit = 7\nservice pop3-login {\n service_count = 0\n}\n");
    assert_eq!(s.login.imap.connections_max, 7);
    assert_eq!(s.login.pop3.connections_max, 7000);
}

#[test]
fn certificates_by_name() {
    let site = site(&format!(
        "ssl = required\n{CERTIFICATE}ssl_min_protocol = TLSv1.3\nssl_alt_cert = <c.conf\nssl_alt_key = <c.conf
local_name \"A.example.org *.b.example.org\" {{\n ssl_cert = <least.conf\n ssl_key = <least.conf\n}}
local_name c.example.org {{\n ssl_cert = <least.conf\n}}\nlocal_name d.example.org {{\n}}\n"
    ));
    let tls = site.load().settings.unwrap().tls;
    assert_eq!((tls.mode, tls.min_version), (SslMode::Required, TlsVersion::V13));
    let (general, own) = (Pem::File(site.path("c.conf")), Pem::File(site.path("least.conf")));
    assert_eq!(tls.default.len(), 2);
    assert_eq!(tls.default[0].cert, general);
    assert_eq!(tls.by_name.len(), 2);
    assert_eq!(tls.by_name[0].names, ["a.example.org", "*.b.example.org"]);
    assert_eq!((&tls.by_name[0].files.cert, &tls.by_name[0].files.key), (&own, &own));
    assert_eq!((&tls.by_name[1].files.cert, &tls.by_name[1].files.key), (&own, &general));
}

#[test]
fn authorities_for_backends() {
    let ca = |text: &str| settings(text).backend.ca;
    let name = |pem: Option<Pem>| match pem {
        Some(Pem::File(path)) => path.file_name().unwrap().to_string_lossy().into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(name(ca("ssl_ca = <least.conf")), "least.conf");
    assert_eq!(name(ca("ssl_client_ca_file = /etc/passwd")), "passwd");
    assert_eq!(name(ca("ssl_client_ca_file = </etc/passwd\nssl_ca = <least.conf")), "least.conf");
    let client = settings("ssl_client_cert = <least.conf\nssl_client_key = <c.conf")
        .backend
        .client_certificate
        .unwrap();
    assert_ne!(client.cert, client.key);
}

#[test]
fn source_addresses() {
    let ips = |text: &str| settings(text).backend.source_ips;
    assert_eq!(ips("login_source_ips = 10.0.0.1, 10.0.0.2").ips.len(), 2);
    let optional = ips("login_source_ips = ?10.0.0.1 ::1");
    assert!(optional.optional && optional.ips.len() == 2);
}

#[test]
fn who_authenticates() {
    let source = |text: &str| settings(text).auth.source;
    let socket = |path: &str| AuthSource::Socket(path.into());
    assert_eq!(source("base_dir = /b\nlogin_auth_socket_path = sub/a"), socket("/b/sub/a"));
    assert_eq!(source("base_dir = /b\nlogin_auth_socket_path = /a"), socket("/a"));
    assert_eq!(source("base_dir = /b\nauth_socket_path = director-userdb"), socket("/b/auth-login"));
    let passdb = |text: &str| format!("passdb {{\n {text}\n}}\n");
    let ours =
        passdb("driver = static\n args = password={PLAIN}x proxy=y host=10.0.0.1\n override_fields = a=b c");
    assert_eq!(source(&(ours.clone() + &passdb("driver = ldap"))), socket("/run/dovecot/auth-login"));
    let file = passdb(
        "driver = passwd-file\n args = scheme=sha512-crypt username_format=%Ln /e/users-%s\n default_fields = proxy=y",
    );
    let AuthSource::Embedded(databases) = source(&(ours + &file)) else { panic!("not embedded") };
    assert_eq!(
        databases,
        [
            PassdbSettings::Static(StaticSettings {
                password: Some("{PLAIN}x".into()),
                fields: ["proxy=y", "host=10.0.0.1", "a=b", "c"].map(String::from).into(),
            }),
            PassdbSettings::PasswdFile(PasswdFileSettings {
                path: "/e/users-%s".into(),
                default_scheme: "SHA512-CRYPT".into(),
                username_format: "%Ln".into(),
                default_fields: vec!["proxy=y".into()],
                override_fields: Vec::new(),
            }),
        ]
    );
}

#[test]
fn master_user_separator_reaches_both_who_need_it() {
    let s = settings("auth_master_user_separator = *x");
    assert_eq!((s.auth.master_user_separator, s.director.master_user_separator), (Some('*'), Some('*')));
}

#[test]
fn a_director_node_loads_as_it_stands() {
    let outcome = load(&samples().join("director-node.conf"));
    let s = outcome.settings.unwrap_or_else(|| panic!("{}", outcome.report));
    assert_eq!(s.director.mail_servers, ["10.0.1.1", "10.0.1.2", "10.0.2.1-10.0.2.9@archive"]);
    assert_eq!(s.director.servers, ["10.0.0.1"]);
    assert!(matches!(s.auth.source, AuthSource::Embedded(ref databases) if databases.len() == 1));
    assert_eq!(s.listeners.len(), 6, "imap, pop3, sieve on both wildcard addresses");
    let sockets = s.relay.sockets.iter();
    let names: Vec<_> = sockets.map(|s| (s.file.path.to_str().unwrap(), s.role, s.file.mode)).collect();
    let in_order = [
        ("/run/dovecot/login/director", SocketRole::Logins, 0o666),
        ("/run/dovecot/login/proxy-notify", SocketRole::RefreshFifo, 0o666),
        ("/run/dovecot/director-userdb", SocketRole::Lookups, 0o600),
    ];
    assert_eq!(names, in_order);
    assert_eq!(s.relay.auth_login, PathBuf::from("/run/dovecot/auth-login"));
    assert_eq!(s.relay.auth_userdb, PathBuf::from("/run/dovecot/auth-userdb"));
    for block in ["service doveadm", "protocol lmtp"] {
        assert!(outcome.report.to_string().contains(&format!("ignored: {block}: not")), "{block}");
    }
    assert!(outcome.report.to_string().contains("warning: inet_listener: nothing listens there"));
    assert_eq!(
        admin_sockets(&s.admin),
        ["/run/dovecot/director-admin 600  ", "/run/dovecot/ipc 600 dovecot "]
    );
}

fn socket(text: &str) -> Option<SocketSettings> {
    let settings = settings(&format!("base_dir = /b\nservice director {{\n{text}\n}}"));
    settings.relay.sockets.into_iter().next()
}

#[test]
fn sockets_of_the_director_have_roles_by_their_names() {
    for (text, role) in [
        ("unix_listener login/director {\nmode = 0666\n}", Some(SocketRole::Logins)),
        ("unix_listener any {\n}", Some(SocketRole::Logins)),
        ("unix_listener x-auth {\n}", Some(SocketRole::Logins)),
        ("unix_listener a-b/userdb {\n}", Some(SocketRole::Lookups)),
        ("unix_listener director-authreply {\n}", Some(SocketRole::Answers)),
        ("unix_listener login/proxy-notify {\nmode = 0600\n}", Some(SocketRole::Refreshes)),
        ("fifo_listener x-userdb {\n}", Some(SocketRole::RefreshFifo)),
        ("unix_listener director-admin {\n}", None),
        ("unix_listener login/director {\n}", None),
        ("fifo_listener login/proxy-notify {\n}", None),
        ("unix_listener director-userdb {\nmode = 0\n}", None),
        ("inet_listener director-userdb {\nport = 9\n}", None),
    ] {
        assert_eq!(socket(text).map(|socket| socket.role), role, "{text}");
    }
    let full = socket("unix_listener /x/userdb {\nmode = 0640\nuser = $default_internal_user\ngroup = 12\n}");
    let file = SocketFile {
        path: "/x/userdb".into(),
        mode: 0o640,
        user: Some("dovecot".to_owned()),
        group: Some("12".to_owned()),
    };
    assert_eq!(full, Some(SocketSettings { role: SocketRole::Lookups, file }));
    let bare = socket("unix_listener userdb {\n}").map(|socket| socket.file);
    assert_eq!(bare.map(|file| (file.mode, file.user)), Some((0o600, None)));
}

#[test]
fn the_relay_asks_the_auth_service_and_never_itself() {
    let own = "service director {\nclient_limit = 7\nunix_listener director-userdb {\n}\n}\n";
    for (text, login, userdb) in [
        ("", "/b/auth-login", "/b/auth-userdb"),
        ("login_auth_socket_path = /d/auth-login\n", "/d/auth-login", "/d/auth-userdb"),
        ("auth_socket_path = director-userdb\n", "/b/auth-login", "/b/auth-userdb"),
        ("auth_socket_path = other\n", "/b/auth-login", "/b/other"),
    ] {
        let relay = settings(&format!("base_dir = /b\n{text}{own}")).relay;
        assert_eq!((relay.auth_login, relay.auth_userdb), (login.into(), userdb.into()), "{text}");
        assert_eq!(relay.connections_max, 7);
    }
    let relay = settings("default_client_limit = 9").relay;
    assert_eq!((relay.sockets.len(), relay.connections_max, relay.processes_max), (0, 9, 9));
    let ipc = "service ipc {\nclient_limit = 3\nunix_listener login/ipc-proxy {\nuser = $default_login_user\n}\nunix_listener ipc {\n}\n}";
    let relay =
        settings(&format!("director_mail_servers = 10.0.0.1\ndirector_max_parallel_kicks = 5\n{ipc}")).relay;
    let [hub] = relay.sockets.as_slice() else { panic!("{:?}", relay.sockets) };
    assert_eq!((hub.role, hub.file.path.ends_with("login/ipc-proxy")), (SocketRole::LoginProcesses, true));
    assert_eq!((relay.processes_max, relay.parallel_kicks_max), (3, 5));
}

#[test]
fn the_examples_of_the_readme_load() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = readme.split("```\n").skip(1).step_by(2);
    let examples: Vec<_> = blocks.filter(|b| b.contains("protocols =") || b.contains("passdb {")).collect();
    let [first, passdb, auth_only, moved] = examples[..] else { panic!("{}", examples.len()) };
    let site = Site::new("");
    for name in ["fullchain.pem", "privkey.pem"] {
        site.write(name, "");
    }
    let folder = site.path("");
    let certificates =
        |text: &str| text.replace("/etc/letsencrypt/live/mail.example.org/", &folder.to_string_lossy());
    site.write("c.conf", &certificates(first));
    assert_eq!(site.report(), "");
    assert_eq!(site.load().settings.unwrap().listeners.len(), 10);
    site.write("c.conf", &format!("protocols = imap\nssl = no\n{passdb}"));
    assert_eq!(site.report(), "");
    // The node's own configuration ends with the lines for Dovecot, which Homing's must override.
    let node = std::fs::read_to_string(samples().join("director-node.conf")).unwrap();
    site.write("dovecot.conf", &format!("{node}\nssl = no\n{auth_only}"));
    let included = site.path("dovecot.conf").display().to_string();
    site.write("c.conf", &moved.replace("/etc/dovecot/dovecot.conf", &included));
    let settings = site.load().settings.unwrap();
    assert!(matches!(settings.auth.source, AuthSource::Socket(path) if path.ends_with("login/login")));
    assert_eq!(settings.process.login_user.as_deref(), Some("dovenull"));
    assert_eq!(settings.director.mail_servers.len(), 3);
    assert_eq!(admin_sockets(&settings.admin).len(), 2, "Dovecot's are off, Homing's are on");
}

fn admin_sockets(admin: &AdminSettings) -> Vec<String> {
    let show = |socket: &AdminSocket| match &socket.place {
        SocketPlace::Unix(file) => {
            let (user, group) = (file.user.as_deref(), file.group.as_deref());
            let (user, group) = (user.unwrap_or_default(), group.unwrap_or_default());
            format!("{} {:o} {user} {group}", file.path.display(), file.mode)
        }
        SocketPlace::Tcp(address) => address.to_string(),
    };
    admin.sockets.iter().map(show).collect()
}

#[test]
fn admin_sockets_are_named_by_their_suffix() {
    let sockets = |text: &str| admin_sockets(&settings(text).admin);
    assert!(sockets("service director {\n unix_listener director-admin {\n }\n}").is_empty(), "no director");
    let director = "base_dir = /b\ndirector_mail_servers = 10.0.0.1\n";
    let with = |service: &str, more: &str| sockets(&format!("{director}service {service} {{\n{more}\n}}"));
    assert_eq!(sockets(director), ["/b/director-admin 600  ", "/b/ipc 600  "]);
    assert_eq!(
        with("director", "unix_listener director-admin {\n mode = 0660\n user = u\n group = g\n }"),
        ["/b/director-admin 660 u g", "/b/ipc 600  "]
    );
    assert_eq!(with("director", "unix_listener director-admin {\n mode = 0\n }"), ["/b/ipc 600  "]);
    assert_eq!(with("ipc", "unix_listener ipc {\n mode = 00\n }"), ["/b/director-admin 600  "]);
    assert_eq!(
        with("director", "unix_listener /x/my-doveadm {\n }\n unix_listener login/director {\n }"),
        ["/b/director-admin 600  ", "/x/my-doveadm 600  ", "/b/ipc 600  "]
    );
    assert_eq!(
        with("director", "inet_listener director-doveadm {\n port = 9091\n address = 127.0.0.1\n }"),
        ["/b/director-admin 600  ", "127.0.0.1:9091", "/b/ipc 600  "]
    );
    assert_eq!(
        with("director", "inet_listener director-ring {\n port = 9090\n }\n inet_listener {\n port = 1\n }"),
        sockets(director)
    );
}
