//! Every problem has its text, its file and its line.

use super::{Site, site};

/// The report of a configuration whose text starts in line 2 of `c.conf`.
fn report(text: &str) -> String {
    site(text).report()
}

#[track_caller]
fn assert_report(text: &str, report: &str) {
    assert_eq!(self::report(text), report, "{text}");
}

#[test]
fn the_least_has_none() {
    assert_report("", "");
    assert_report("# nothing\n\n", "");
}

#[test]
fn form() {
    for (text, problem) in [
        ("listen", "c.conf:2: expecting '=' or '{' after 'listen'"),
        ("}", "c.conf:2: '}' without a block that it could end"),
        ("service imap-login {\n client_limit = 3\n", "c.conf:2: this block has no '}'"),
        ("service imap-login{\n", "c.conf:2: put a space before '{'"),
        (
            "hostname = $nothing",
            "c.conf:2: unknown variable $nothing (a variable is the name of a setting and ends at a space)",
        ),
        (
            "passdb a {\n driver = static\n args = nopassword=y\n}\npassdb a {\n driver = static\n args = nopassword=y\n}",
            "c.conf:6: passdb a exists already (at c.conf:2)",
        ),
        (
            "listen = 127.0.0.1#x",
            "c.conf:2: warning: '#' directly behind a word starts a comment; put a space before it, or quotes around the value",
        ),
        (
            "hostname = a \\\n",
            "c.conf:2: warning: the line ends in a backslash but nothing follows; the setting is dropped, as Dovecot does",
        ),
        (
            "hostname = <no-such-file",
            "c.conf:2: hostname: cannot read no-such-file: No such file or directory",
        ),
    ] {
        assert_report(text, &format!("{problem}\n"));
    }
}

#[test]
fn bytes_that_are_not_utf8_are_told_where_they_matter() {
    let site = site("");
    std::fs::write(site.path("c.conf"), b"!include least.conf\n# \xe4\nhostname = \xe4\n").unwrap();
    assert_eq!(site.report(), "c.conf:3: warning: bytes that are not UTF-8 were replaced\n");
}

#[test]
fn includes() {
    assert_report("!include none.conf", "c.conf:2: no file matches none.conf\n");
    assert_report("!include none*.conf", "c.conf:2: no file matches none*.conf\n");
    assert_report("!include_try none.conf\n!include_try none*", "");
    assert_report("!include c.conf", "c.conf:2: c.conf includes itself\n");
    assert!(report("!include .").ends_with(": Is a directory\n"));
    let site = site("hostname = b\n!include a.conf");
    site.write("a.conf", "\nwrong = 1\nservice x {\n");
    let expected = "a.conf:2: unknown setting wrong\na.conf:3: this block has no '}'\na.conf:3: ignored: service x: not needed\n";
    assert_eq!(site.report(), expected);
    site.write("a.conf", "}\n");
    site.write("c.conf", "!include least.conf\nservice imap-login {\n!include a.conf\n}\n");
    assert_eq!(site.report(), "a.conf:1: '}' without a block that it could end\n");
}

#[test]
fn a_file_that_is_not_there() {
    let site = Site::new("");
    std::fs::remove_file(site.path("c.conf")).unwrap();
    let report = site.report();
    assert!(report.starts_with("c.conf:1: cannot read c.conf: No such file or directory\n"), "{report}");
}

#[test]
fn includes_cannot_be_nested_without_end() {
    let site = site("!include 0.conf");
    for n in 0..20 {
        site.write(&format!("{n}.conf"), &format!("!include {}.conf", n + 1));
    }
    assert_eq!(site.report(), "15.conf:1: more than 16 files include each other\n");
}

#[test]
fn blocks_cannot_be_nested_without_end() {
    let open: String = (0..20).map(|n| format!("x{n} {{\n")).collect();
    let report = report(&(open + &"}\n".repeat(16)));
    assert!(report.contains("c.conf:18: more than 16 blocks within each other\n"), "{report}");
}

#[test]
fn values_cannot_grow_without_end() {
    let text = format!("hostname = {}\n{}", "x".repeat(1000), "hostname = $hostname $hostname\n".repeat(40));
    assert!(report(&text).contains(": the value is longer than 262144 bytes\n"));
}

#[test]
fn the_number_of_statements_is_bounded() {
    let report = report(&"hostname = x\n".repeat(200_010));
    assert!(report.starts_with("c.conf:199"), "{report}");
    assert!(report.contains("more than 200000 statements; the rest is not read\n"), "{report}");
}

#[test]
fn names() {
    for (text, problem) in [
        ("login_greetings = x", "unknown setting login_greetings, did you mean login_greeting?"),
        ("foo = x", "unknown setting foo"),
        ("Hostname = x", "unknown setting Hostname, did you mean hostname?"),
        ("servce imap-login {\n}", "unknown block servce, did you mean service?"),
        ("imap-login {\n}", "unknown block imap-login"),
        ("passdb {\n driver = static\n args = nopassword=y\n x {\n }\n}", ""),
    ] {
        if problem.is_empty() {
            assert_report(text, "c.conf:5: unknown block x in passdb\n");
        } else {
            assert_report(text, &format!("c.conf:2: {problem}\n"));
        }
    }
    for (text, problem) in [
        (
            "service imap-login {\n clientlimit = 3\n}",
            "unknown setting clientlimit in service, did you mean client_limit?",
        ),
        (
            "service imap-login {\n inet_listner x {\n }\n}",
            "unknown block inet_listner in service, did you mean inet_listener?",
        ),
        (
            "protocol imap {\n login_greting = 3\n}",
            "unknown setting login_greting, did you mean login_greeting?",
        ),
        ("local_name a {\n foo = 3\n}", "unknown setting foo"),
    ] {
        assert_report(text, &format!("c.conf:3: {problem}\n"));
    }
    assert_report(
        "service imap-login {\n inet_listener x {\n port = 1\n prt = 3\n }\n}",
        "c.conf:5: unknown setting prt in inet_listener, did you mean port?\n",
    );
}

#[test]
fn names_in_blocks_that_do_nothing_here_are_checked_too() {
    let told =
        report("namespace inbox {\n inbox = yes\n mailbox Trash {\n  auto = no\n  specal_use = x\n }\n}");
    assert_eq!(
        told,
        "c.conf:6: unknown setting specal_use in mailbox, did you mean special_use?\nc.conf:2: ignored: namespace inbox: not needed\n"
    );
    assert_report("plugin {\n anything = x\n}", "c.conf:2: ignored: plugin: not needed\n");
    assert_report(
        "service lmtp {\n unix_listener x {\n  mode = 0600\n  z = 1\n }\n}",
        "c.conf:5: unknown setting z in unix_listener\nc.conf:2: ignored: service lmtp: not needed\n",
    );
}

#[test]
fn values() {
    for (text, problem) in [
        ("shutdown_clients = true", "shutdown_clients: 'true' is neither yes nor no"),
        ("login_proxy_max_reconnects = x", "login_proxy_max_reconnects: 'x' is no number (0 to 4294967295)"),
        (
            "director_max_parallel_moves = 0",
            "director_max_parallel_moves: 0 is too low, it must be at least 1",
        ),
        ("director_user_expire = 9 s", "director_user_expire: 9 s is too low, it must be at least 10 s"),
        ("haproxy_timeout = x", "haproxy_timeout: 'x' is no time (like 500 ms, 30 s, 15 mins, 2 h, 1 days)"),
        (
            "haproxy_timeout = 3",
            "warning: haproxy_timeout: 3 is taken as seconds; add a unit, Dovecot demands one",
        ),
        (
            "ssl_min_protocol = tls1",
            "ssl_min_protocol: 'tls1' is not one of: ANY, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3, LATEST",
        ),
        (
            "ssl_min_protocol = TLSv1",
            "warning: ssl_min_protocol: TLSv1 is not supported any more, TLSv1.2 is used",
        ),
        (
            "haproxy_trusted_networks = 10.0.0.0/8 x",
            "haproxy_trusted_networks: 'x' is no network (like 10.0.0.0/8) or IP address",
        ),
        ("log_format = xml", "log_format: 'xml' is not one of: dovecot, json"),
        (
            "metrics_listen = 9102",
            "metrics_listen: '9102' is no address with a port (like 127.0.0.1:9102 or [::1]:9102) and no path of a socket",
        ),
        (
            "metrics_listen = 127.0.0.1:0",
            "metrics_listen: '127.0.0.1:0' is no address with a port (like 127.0.0.1:9102 or [::1]:9102) and no path of a socket",
        ),
        ("metrics_listen = /run/m 127.0.0.1:9102, /run/m", "metrics_listen: '/run/m' is there twice"),
        ("metrics_listen = 127.0.0.1:9102 [::1]:9102 /run/homing/metrics", ""),
        (
            "metrics_listen = 10.0.0.1:9102",
            "warning: metrics_listen: '10.0.0.1:9102': whoever reaches this port sees names and load of the backends; there is no password",
        ),
        ("ssl_cert = /etc/x", "ssl_cert: a file is named with '<' before it: </etc/x"),
        (
            "director_mail_servers = 10.0.0.1:143",
            "director_mail_servers: '10.0.0.1:143': no port can be given here (the passdb field port= sets it, else the protocol's own is used)",
        ),
        (
            "director_username_hash = %Lq",
            "director_username_hash: unknown variable %q (known: %u %n %d %{user} %{username} %{domain})",
        ),
        (
            "login_greeting = hi %z",
            "login_greeting: unknown variable %z (known: %l %r %p %s %{lip} %{rip} %{pid} %{service} %{local_name})",
        ),
        ("login_log_format = %z", "warning: login_log_format: unknown variable %z (known: %$ %s)"),
        ("base_dir = run", "base_dir: must be an absolute path"),
        (
            "login_source_ips = 10.0.0.1 a/b",
            "login_source_ips: 'a/b' is neither an IP address nor a host name",
        ),
        (
            "login_source_ips = no-such-host.invalid",
            "login_source_ips: host name 'no-such-host.invalid' is not known",
        ),
        ("listen = 127.0.0.1:143", "listen: '127.0.0.1:143' is neither an IP address nor a host name"),
        (
            "director_servers = 10.0.0.1 10.0.0.2",
            "warning: director_servers: this version runs as a single node; the other directors are not contacted",
        ),
        ("director_servers = 10.0.0.1", ""),
        (
            "director_consistent_hashing = no",
            "warning: director_consistent_hashing: removed in Dovecot 2.3: users are always placed by consistent hashing",
        ),
        (
            "login_access_sockets = tcpwrap",
            "warning: login_access_sockets: not supported: connections are not checked this way; use a firewall",
        ),
        ("ssl_dh = <none", "ignored: ssl_dh: key exchange uses elliptic curves, which need no parameters"),
        (
            "ssl_cipher_list = HIGH",
            "ignored: ssl_cipher_list: the TLS library's own choice is used: only ciphers with forward secrecy",
        ),
        (
            "info_log_path = /var/log/dovecot-info.log",
            "warning: info_log_path: not used: everything goes to log_path, where fail2ban and others must read it",
        ),
        ("mail_location = maildir:~/x", "ignored: mail_location: not needed"),
        ("dict {\n a = b\n}", "ignored: dict: not needed"),
    ] {
        let expected = if problem.is_empty() { String::new() } else { format!("c.conf:2: {problem}\n") };
        assert_report(text, &expected);
    }
}

#[test]
fn protocols_and_listeners() {
    for (text, problem) in [
        ("protocols =", "nothing to listen on: set protocols (for example: protocols = imap pop3 sieve)"),
        ("protocols = imap foo", "protocols: unknown protocol 'foo' (known: imap, pop3, sieve)"),
        (
            "protocols = imap pop3s",
            "protocols: 'pop3s' is no protocol, its TLS listener comes with 'pop3' (port = 0 in inet_listener pop3 turns the plain one off)",
        ),
        ("protocols = managesieve", "warning: protocols: 'managesieve' is now called 'sieve'"),
        (
            "protocols = imap lmtp",
            "warning: protocols: lmtp is not served by this version: nothing listens for it",
        ),
    ] {
        assert_report(text, &format!("c.conf:2: {problem}\n"));
    }
    let text = "service imap-login {\n inet_listener x {\n  port = 143\n }\n}";
    assert_report(text, "c.conf:3: inet_listener x: 127.0.0.1:143 is taken by imap\n");
    let text = "service imap-login {\n inet_listener x {\n  port = 99999\n  ssl = maybe\n }\n}";
    assert_report(
        text,
        "c.conf:4: port: '99999' is no port (1 to 65535, or 0 for no listener)\nc.conf:5: ssl: 'maybe' is neither yes nor no\n",
    );
}

#[test]
fn flush_programs() {
    for fine in ["unix:/flush-%h", "tcp:%{ip}:2000", "tcp:[::1]:2000"] {
        assert_report(&format!("director_flush_socket = {fine}"), "");
    }
    for (value, problem) in [
        ("flush", "'flush' is neither unix:PATH nor tcp:HOST:PORT"),
        ("tcp:host", "'tcp:host' is neither unix:PATH nor tcp:HOST:PORT"),
        ("tcp::1", "'tcp::1' is neither unix:PATH nor tcp:HOST:PORT"),
        ("tcp:x:99999", "'tcp:x:99999' is neither unix:PATH nor tcp:HOST:PORT"),
        ("unix:/%Lh", "'unix:/%Lh': variables have no modifiers here (%i, %h, %{ip}, %{host})"),
        (
            "exec:/bin/flush",
            "programs are not started by this version: let a service with executable = script serve a unix_listener, and name that (unix:PATH)",
        ),
    ] {
        let expected = format!("c.conf:2: director_flush_socket: {problem}\n");
        assert_report(&format!("director_flush_socket = {value}"), &expected);
    }
}

#[test]
fn listeners_that_do_not_do_what_was_meant() {
    for (text, problem) in [
        ("", "inet_listener x: without port nothing listens"),
        ("port = 0", ""),
        ("port = 10993\n  ssl = yes", "inet_listener x: off, because of ssl = no"),
        (
            "port = 10143\n  haproxy = yes",
            "inet_listener x: haproxy_trusted_networks is empty, so every connection is closed",
        ),
    ] {
        let expected =
            if problem.is_empty() { String::new() } else { format!("c.conf:3: warning: {problem}\n") };
        assert_report(&format!("service imap-login {{\n inet_listener x {{\n  {text}\n }}\n}}"), &expected);
    }
}

#[test]
fn names_of_blocks_that_are_nearly_right() {
    assert_report(
        "service imap-logn {\n}",
        "c.conf:2: warning: service imap-logn: not used, did you mean imap-login?\n",
    );
    assert_report(
        "service submission-login {\n}",
        "c.conf:2: ignored: service submission-login: not needed\n",
    );
    let text = "c.conf:2: warning: protocol managesieve: the protocol's name is sieve\nc.conf:2: ignored: protocol managesieve: not served\n";
    assert_report("protocol managesieve {\n}", text);
}

#[test]
fn certificates() {
    assert_report(
        "ssl = required",
        "c.conf:2: ssl = required needs a certificate: set ssl_cert = <file and ssl_key = <file (or ssl = no)\n",
    );
    assert_report("ssl = yes\nssl_cert = <c.conf", "c.conf:3: ssl_cert needs ssl_key\n");
    assert_report(
        "ssl = yes\nssl_cert = <c.conf\nssl_key = <none",
        "c.conf:4: ssl_key: cannot read none: No such file or directory\n",
    );
    assert_report(
        "ssl = yes\nssl_cert = <c.conf\nssl_key = <",
        "c.conf:4: ssl_key: there is no file name behind '<'\nc.conf:3: ssl_cert needs ssl_key\n"
            .lines()
            .rev()
            .map(|l| format!("{l}\n"))
            .collect::<String>()
            .as_str(),
    );
    let pair = "ssl = yes\nssl_cert = <c.conf\nssl_key = <c.conf\n";
    assert_report(pair, "");
    assert_report(
        &format!("{pair}ssl_verify_client_cert = yes"),
        "c.conf:5: ssl_verify_client_cert needs ssl_ca = <file with the authorities of client certificates\n",
    );
    assert_report(
        &format!("{pair}local_name a.org {{\n ssl_cert = <x\n login_greeting = z\n}}"),
        "c.conf:6: ssl_cert: cannot read x: No such file or directory\nc.conf:7: warning: only ssl_cert and ssl_key can differ by local_name: this login_greeting is not used\n",
    );
    assert_report("ssl_cert = <none", "");
    assert_report(
        "ssl_client_ca_file = none",
        "c.conf:2: ssl_client_ca_file: cannot read none: No such file or directory\n",
    );
    assert_report(
        "ssl_key_password = x",
        "c.conf:2: warning: ssl_key_password: keys with a password cannot be read; store the key without one, readable by root only\n",
    );
}

#[test]
fn settings_for_some_connections_only() {
    for (text, problem) in [
        ("protocol lmtp {\n}", "c.conf:2: ignored: protocol lmtp: not served"),
        (
            "protocol imap {\n login_proxy_timeout = 3 s\n}",
            "c.conf:3: warning: login_proxy_timeout has one value for all protocols: the one in this block is not used",
        ),
        (
            "protocol imap {\n mail_max_userip_connections = 3\n}",
            "c.conf:3: ignored: mail_max_userip_connections: backends check it; they see the right client address",
        ),
        (
            "protocol imap {\n service imap-login {\n }\n}",
            "c.conf:3: warning: service imap-login: a service has the same settings for all protocols",
        ),
        ("protocol imap {\n protocol pop3 {\n }\n}", "c.conf:3: a protocol block cannot be within another"),
        (
            "protocol imap {\n local 10.0.0.1 {\n }\n}",
            "c.conf:3: protocol { local { } } is not allowed, use local { protocol { } } instead",
        ),
        (
            "local 10.0.0.0/8 {\n login_greeting = x\n}",
            "c.conf:2: warning: local 10.0.0.0/8: settings by address are not supported: this block is not applied",
        ),
        (
            "remote 10.0.0.1 {\n}",
            "c.conf:2: warning: remote 10.0.0.1: settings by address are not supported: this block is not applied",
        ),
        (
            "local_name a {\n protocol imap {\n }\n}",
            "c.conf:3: warning: protocol imap: not applied within local_name",
        ),
        (
            "service director {\n unix_listener login/director {\n  mode = 666\n }\n}",
            "c.conf:4: mode: '666' is no mode (octal with a leading 0, like 0600; 0 for no socket)",
        ),
        (
            "service director {\n fifo_listener x {\n  groups = x\n }\n}",
            "c.conf:4: unknown setting groups in fifo_listener, did you mean group?",
        ),
        (
            "login_auth_socket_path = login/director\nservice director {\n unix_listener login/director {\n  mode = 0666\n }\n}\nservice ipc {\n unix_listener login/ipc-proxy {\n }\n}",
            "c.conf:3: service director: /run/dovecot/login/director would be asked by itself (login_auth_socket_path names the auth service's own socket)",
        ),
        (
            "service director {\n unix_listener login/director {\n  mode = 0666\n }\n}",
            "c.conf:2: warning: service director: login processes ask here, but cannot be told to end sessions: users whom they serve are moved only when nothing was heard of them for director_user_expire (service ipc { unix_listener login/ipc-proxy })",
        ),
        ("service imap-login {\n unix_listener x {\n }\n}", "c.conf:3: ignored: unix_listener x: not needed"),
        (
            "service imap-login {\n executable = imap-login director\n}",
            "c.conf:3: ignored: executable: not needed",
        ),
    ] {
        assert_report(text, &format!("{problem}\n"));
    }
}

#[test]
fn password_databases() {
    for (text, problem) in [
        (
            " driver = sql\n args = x",
            "c.conf:2: warning: passdb: driver = sql is not served by Homing itself (only passwd-file, static); logins go to /run/dovecot/auth-login",
        ),
        (
            " args = x",
            "c.conf:2: passdb: driver is missing (driver = passwd-file or static, or another of the auth service)",
        ),
        (
            " driver = static\n args = nopassword=y\n deny = yes",
            "c.conf:2: warning: passdb: deny = yes is not served by Homing itself; logins go to /run/dovecot/auth-login",
        ),
        (
            " driver = static\n args = nopassword=y\n result_success = continue-ok",
            "c.conf:2: warning: passdb: result_success = continue-ok is not served by Homing itself; logins go to /run/dovecot/auth-login",
        ),
        (
            " driver = static\n args = nopassword=y\n skip = maybe",
            "c.conf:5: skip: 'maybe' is not one of: never, authenticated, unauthenticated\nc.conf:2: warning: passdb: skip = maybe is not served by Homing itself; logins go to /run/dovecot/auth-login",
        ),
        (
            " driver = static\n args = proxy=y",
            "c.conf:4: passdb args: a static passdb needs either password=X or nopassword=y",
        ),
        (
            " driver = static\n args = nopassword=y password=x",
            "c.conf:4: passdb args: a static passdb needs either password=X or nopassword=y",
        ),
        (
            " driver = passwd-file\n args = scheme=plain users",
            "c.conf:4: passdb args: the absolute path of the password file is missing (args = scheme=CRYPT /etc/homing/users)",
        ),
        (
            " driver = passwd-file\n args = sheme=plain /users",
            "c.conf:4: passdb args: unknown option sheme (known: scheme, username_format)",
        ),
    ] {
        assert_report(&format!("passdb {{\n{text}\n}}"), &format!("{problem}\n"));
    }
    let ok = "driver = static\n args = nopassword=y\n}";
    assert_report(
        &format!("passdb {{\n {ok}\nprotocol imap {{\n passdb {{\n {ok}\n}}"),
        "c.conf:7: warning: passdb: Homing has the same ones for all protocols and leaves this one to the auth service; logins go to /run/dovecot/auth-login\n",
    );
    // Nobody here would ask it.
    let text = format!("passdb {{\n {ok}\nprotocol lmtp {{\n passdb {{\n {ok}\n}}");
    assert_report(&text, "c.conf:6: ignored: protocol lmtp: not served\n");
    assert_report(
        &format!("login_auth_socket_path = a\npassdb {{\n {ok}"),
        "c.conf:3: ignored: passdb: login_auth_socket_path is set, so the auth service has it\n",
    );
}

#[test]
fn who_a_user_is_must_not_differ_between_homing_and_the_auth_service() {
    let passdb = "passdb {\n driver = static\n args = nopassword=y\n}";
    let ignored = "c.conf:2: ignored: auth_username_format: the auth service reads it\n";
    assert_report(&format!("auth_username_format = %Lu\n{passdb}"), ignored);
    assert_report(
        &format!("auth_username_format = %Ln\n{passdb}"),
        &format!(
            "c.conf:2: warning: auth_username_format: only the auth service can do this, so passdbs are left to it; logins go to /run/dovecot/auth-login\n{ignored}"
        ),
    );
    assert_report("auth_username_format = %Ln", ignored);
}

#[test]
fn a_file_that_cannot_be_read_is_the_only_problem() {
    let outcome = crate::config::load(std::path::Path::new("/nonexistent/c.conf"));
    assert!(outcome.settings.is_none());
    assert_eq!(outcome.report.errors().count(), 1, "{}", outcome.report);
}

#[test]
fn a_configuration_of_dovecot_2_4_gives_one_clear_error() {
    let site = Site::new("# x\ndovecot_config_version = 2.4.0\nssl_server_cert_file = /x\nfoo = bar\n");
    assert_eq!(
        site.report(),
        "c.conf:2: this is a configuration for Dovecot 2.4, whose settings have other names; Homing reads those of Dovecot 2.3\n"
    );
    assert!(site.load().settings.is_none());
}

#[test]
fn all_problems_come_at_once_errors_first() {
    let text = "mail_location = x\nfoo = 1\nhaproxy_timeout = 3\nssl = maybe\n{\n";
    let report = report(text);
    let starts: Vec<_> =
        report.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        starts,
        ["c.conf:3: unknown", "c.conf:5: ssl:", "c.conf:6: '{'", "c.conf:4: warning:", "c.conf:2: ignored:"]
    );
}

#[test]
fn sockets_for_administrators() {
    for (text, problem) in [
        (
            "service director {\n unix_listener director-admin {\n  mode = 888\n }\n}",
            "c.conf:4: mode: '888' is no mode (octal with a leading 0, like 0600; 0 for no socket)\n",
        ),
        (
            "service director {\n unix_listener director-admin {\n  mod = 0600\n }\n}",
            "c.conf:4: unknown setting mod in unix_listener, did you mean mode?\n",
        ),
        (
            "director_mail_servers = 10.0.0.1\nservice director {\n inet_listener director-admin {\n  port = 9091\n  address = 10.0.0.9\n }\n}",
            "c.conf:4: warning: inet_listener director-admin: only this machine may connect; director_admin_networks names others\n",
        ),
        (
            "director_mail_servers = 10.0.0.1\ndirector_admin_networks = 10.0.0.0/8\nservice director {\n inet_listener director-admin {\n  port = 9091\n  address = 10.0.0.9\n }\n}",
            "c.conf:5: warning: inet_listener director-admin: whoever is in director_admin_networks rules the director; there is no password\n",
        ),
        (
            "director_admin_networks = 10.0.0.0/33",
            "c.conf:2: director_admin_networks: '10.0.0.0/33' is no network (like 10.0.0.0/8) or IP address\n",
        ),
        (
            "director_mail_servers = 10.0.0.1\nservice director {\n inet_listener director-admin {\n  port = 9091\n  ssl = yes\n  address = 127.0.0.1\n }\n}",
            "c.conf:4: inet_listener director-admin: ssl and haproxy are not served for doveadm\n",
        ),
        (
            "service director {\n inet_listener {\n  port = 9090\n }\n}",
            "c.conf:3: warning: inet_listener: nothing listens there, this version has no ring\n",
        ),
    ] {
        assert_report(text, problem);
    }
}
