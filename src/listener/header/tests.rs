//! Headers as captured from conversations with the reference, what holds for any bytes, and reading from sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bolero::TypeGenerator;
use proxy_header::{ProxiedAddress, ProxyHeader, SslInfo, Tlv};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::*;

/// Version 2: command and version, family and transport, what follows.
fn v2(command: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [frame::V2_START, &[command, kind], &length, payload].concat()
}

/// 192.0.2.7:4444 to 198.51.100.8:143.
const IPV4: &[u8] = b"\xc0\x00\x02\x07\xc6\x33\x64\x08\x11\x5c\x00\x8f";

fn proxied(source: &str, destination: &str) -> Header {
    let addresses = Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() };
    Header { addresses: Some(addresses), ..Header::default() }
}

/// Frames and parses; `header` must be one whole header.
fn understood(header: &[u8]) -> Header {
    assert_eq!(frame::length(header).unwrap(), Some(header.len()));
    parse(header).unwrap()
}

/// The log line for a header that is refused.
fn refused(header: &[u8]) -> String {
    let refusal = match frame::length(header) {
        Ok(length) => parse(&header[..length.expect("cut off")]).unwrap_err(),
        Err(refusal) => refusal,
    };
    refusal.line("127.0.77.100".parse().unwrap())
}

#[test]
fn hp_01_v1_addresses() {
    let four = proxied("192.0.2.7:4444", "198.51.100.8:143");
    assert_eq!(understood(b"PROXY TCP4 192.0.2.7 198.51.100.8 4444 143\r\n"), four);
    let six = proxied("[2001:db8::7]:4444", "[2001:db8::8]:143");
    assert_eq!(understood(b"PROXY TCP6 2001:db8::7 2001:db8::8 4444 143\r\n"), six);
}

#[test]
fn hp_02_v1_unknown_keeps_the_real_addresses() {
    assert_eq!(understood(b"PROXY UNKNOWN\r\n"), Header::default());
    assert_eq!(understood(b"PROXY UNKNOWN a b c d\r\n"), Header::default());
}

#[test]
fn hp_03_v1_refusals() {
    let cases = [
        (
            "TCP4 2001:db8::7 2001:db8::8 1 2\r\n",
            "(v1): Client disconnected: Proxied remote address is invalid (address=`2001:db8::7', ",
        ),
        (
            "TCP4 192.0.2.7 198.51.100.8 4444\r\n",
            "(v1): Client disconnected: Field for proxied local port is missing (",
        ),
        (
            "TCP4 192.0.2.7 198.51.100.8 4444 143 x\r\n",
            "(v1): Client disconnected: Header line has spurius extra field (field=`x', ",
        ),
        (
            "UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "(v1): Client disconnected: Unknown proxied protocol (protocol=`UDP4', ",
        ),
        (
            "TCP4 192.0.2.7 198.51.100.8 99999 143\r\n",
            "(v1): Client disconnected: Proxied remote port is invalid (port=`99999', ",
        ),
        (
            "TCP4 192.0.2.7 198.51.100.8 4444 143\n",
            ": Client disconnected: Failed to read valid HAproxy data (",
        ),
        (
            "TCP4 192.0.2.7 198.51.100.8 4444 +143\r\n",
            "(v1): Client disconnected: Proxied local port is invalid (port=`+143', ",
        ),
        (
            "TCP4 192.0.2.7 198.51.100.8 0 143\r\n",
            "(v1): Client disconnected: Proxied remote port is invalid (port=`0', ",
        ),
        ("UNKNOWNx\r\n", "(v1): Client disconnected: Unknown proxied protocol (protocol=`UNKNOWNx', "),
        ("TCP4\r\n", "(v1): Client disconnected: Field for proxied remote address is missing ("),
        (
            "TCP4 1.2.3.4\x1b[2J 1.2.3.4 1 2\r\n",
            "(v1): Client disconnected: Proxied remote address is invalid (address=`1.2.3.4\\x1b[2J', ",
        ),
    ];
    for (line, text) in cases {
        assert_eq!(refused(format!("PROXY {line}").as_bytes()), format!("haproxy{text}rip=127.0.77.100)"));
    }
    let no_header = "haproxy: Client disconnected: Failed to read valid HAproxy data (rip=127.0.77.100)";
    for bytes in ["a NOOP\r\n", "\x16\x03\x01", "PROXY\r\n", "\r\n\r\n\r", "PROXY UNKNOWN\n"] {
        assert_eq!(refused(bytes.as_bytes()), no_header, "{bytes:?}");
    }
}

#[test]
fn hp_04_v2_addresses() {
    assert_eq!(understood(&v2(0x21, 0x11, IPV4)), proxied("192.0.2.7:4444", "198.51.100.8:143"));
    let six = b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x08\x11\x5c\x00\x8f";
    assert_eq!(understood(&v2(0x21, 0x21, six)), proxied("[2001:db8::7]:4444", "[2001:db8::8]:143"));
}

#[test]
fn hp_04_v2_without_addresses() {
    // The rest of LOCAL is to be ignored, even if it is nonsense, and says nothing about TLS.
    for (kind, payload) in
        [(0, b"".as_slice()), (0, b"xxxx"), (0x99, b""), (0x01, b"\x20\x00\x05\x01\0\0\0\0")]
    {
        assert_eq!(understood(&v2(0x20, kind, payload)), Header::default());
    }
    let family = |family| Header { unsupported_family: Some(family), ..Header::default() };
    assert_eq!(understood(&v2(0x21, 0x01, b"")), family(0));
    assert_eq!(understood(&v2(0x21, 0x31, &[0; 216])), family(3));
    let with_tls = understood(&v2(0x21, 0x01, b"\x20\x00\x05\x01\0\0\0\0"));
    assert_eq!(with_tls, Header { tls: true, ..family(0) });
}

#[test]
fn hp_05_v2_refusals() {
    let truncated = [IPV4, b"\x02\x00\xff"].concat();
    let truncated_inside = [IPV4, b"\x20\x00\x08\x01\0\0\0\0\x21\x00\xff"].concat();
    let cases = [
        (v2(0x21, 0x12, IPV4), "(v2): Client disconnected: Not using TCP (type=02, "),
        (v2(0x22, 0x11, IPV4), "(v2): Client disconnected: Invalid command (cmd=02, "),
        (v2(0x31, 0x11, IPV4), ": Client disconnected: Unsupported protocol version (version=03, "),
        (v2(0x21, 0x11, &IPV4[..8]), "(v2): Client disconnected: IPv4 data is incomplete ("),
        (v2(0x21, 0x21, &[0; 35]), "(v2): Client disconnected: IPv6 data is incomplete ("),
        (v2(0x21, 0x41, b""), "(v2): Client disconnected: Unknown address family (family=04, "),
        (v2(0x21, 0x31, b""), ": Client disconnected: Failed to read valid HAproxy data ("),
        (v2(0x21, 0x11, &truncated), "(v2): Client disconnected: Invalid TLV: Truncated data (cmd=01, "),
        (
            v2(0x21, 0x11, &truncated_inside),
            "(v2): Client disconnected: Invalid TLV: Truncated data (cmd=01, ",
        ),
    ];
    for (header, text) in cases {
        assert_eq!(refused(&header), format!("haproxy{text}rip=127.0.77.100)"));
    }
}

#[test]
fn hp_06_v2_tls() {
    let flags =
        |flags: u8| v2(0x21, 0x11, &[IPV4, b"\x20\x00\x0d", &[flags], b"\0\0\0\0\x22\x00\x05alice"].concat());
    assert!(understood(&flags(0x01)).tls);
    assert!(understood(&flags(0x05)).tls);
    assert!(!understood(&flags(0x00)).tls);
    assert!(!understood(&flags(0x06)).tls);
}

#[test]
fn hp_07_v2_authority() {
    let named =
        |name: &[u8]| v2(0x21, 0x11, &[IPV4, &[2, 0, u8::try_from(name.len()).unwrap()], name].concat());
    assert_eq!(understood(&named(b"mail.example.com")).authority.as_deref(), Some("mail.example.com"));
    assert_eq!(understood(&named(b"")).authority, None);
    for name in [b"a\nb".as_slice(), b"\xff"] {
        assert!(refused(&named(name)).contains("Invalid TLV"));
    }
}

#[test]
fn limits() {
    let too_long = "haproxy: Client disconnected: Too long header (rip=127.0.77.100)";
    let line = |bytes: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - 16));
    understood(line(108).as_bytes());
    assert_eq!(refused(line(109).as_bytes()), too_long);
    assert_eq!(refused(&line(200).as_bytes()[..108]), too_long);
    let padded = |bytes: usize| {
        let padding = bytes - 16 - IPV4.len() - 3;
        let length = u16::try_from(padding).unwrap().to_be_bytes();
        v2(0x21, 0x11, &[IPV4, &[4], &length, &vec![0; padding]].concat())
    };
    understood(&padded(1500));
    // Refused before the length is read to its end.
    assert_eq!(refused(&padded(1501)[..16]), too_long);
}

/// Pieces that hostile headers are made of.
#[derive(Debug, TypeGenerator)]
enum Piece {
    V1,
    V2,
    Fixed(u8),
    Word(u8),
    Bytes(Vec<u8>),
}

fn bytes_of(pieces: &[Piece]) -> Vec<u8> {
    const WORDS: [&str; 8] = ["TCP4 ", "TCP6 ", "UNKNOWN", "1.2.3.4 ", "::1 ", "143 ", "143\r\n", "\r\n"];
    let bytes = |piece: &Piece| match piece {
        Piece::V1 => frame::V1_START.to_vec(),
        Piece::V2 => frame::V2_START.to_vec(),
        Piece::Fixed(n) => [[0x21, 0x11, 0, *n].as_slice(), IPV4].concat(),
        Piece::Word(n) => WORDS[usize::from(*n) % WORDS.len()].as_bytes().to_vec(),
        Piece::Bytes(bytes) => bytes.clone(),
    };
    pieces.iter().flat_map(bytes).collect()
}

#[test]
fn any_bytes_are_bounded_and_cuts_change_nothing() {
    bolero::check!().with_type::<Vec<Piece>>().for_each(|pieces| {
        let bytes = bytes_of(pieces);
        let whole = frame::length(&bytes);
        for cut in 0..bytes.len() {
            match (frame::length(&bytes[..cut]), &whole) {
                (Ok(None), _) => assert!(cut < frame::BYTES_MAX),
                (Ok(Some(length)), Ok(Some(same))) => assert_eq!(length, *same),
                (Err(early), Err(late)) => {
                    assert_eq!(early.line(Ipv4Addr::LOCALHOST.into()), late.line(Ipv4Addr::LOCALHOST.into()))
                }
                (cut, whole) => panic!("{cut:?} became {whole:?}"),
            }
        }
        if let Ok(Some(length)) = whole
            && length <= bytes.len()
        {
            assert!(length <= frame::BYTES_MAX);
            match parse(&bytes[..length]) {
                Ok(header) => assert!(header.authority.is_none_or(|a| a.len() < length)),
                Err(refusal) => {
                    let line = refusal.line(Ipv4Addr::LOCALHOST.into());
                    assert!(!line.contains(char::is_control) && line.len() < 1000);
                }
            }
        }
    });
}

#[test]
fn what_senders_write_is_understood() {
    type Sent = ([u8; 16], [u8; 16], u16, u16, bool, bool, Vec<u8>);
    bolero::check!().with_type::<Sent>().for_each(|(from, to, sport, dport, four, tls, padding)| {
        let ip = |octets: &[u8; 16]| {
            let six = Ipv6Addr::from(*octets);
            if *four { IpAddr::V4(Ipv4Addr::from_bits(six.to_bits() as u32)) } else { IpAddr::V6(six) }
        };
        let source = SocketAddr::new(ip(from), *sport);
        let destination = SocketAddr::new(ip(to), *dport);
        let padding = &padding[..padding.len().min(1000)];
        let tlvs = [
            Tlv::Custom(0xe0, padding.into()),
            Tlv::Ssl(SslInfo::new(*tls, false, false, 0)),
            Tlv::Authority("mail.example.com".into()),
        ];
        let mut bytes = Vec::new();
        let sent = ProxiedAddress::stream(source, destination);
        ProxyHeader::with_tlvs(Some(sent.clone()), tlvs).encode_v2(&mut bytes).unwrap();
        let addresses = Some(Addresses { source, destination });
        let authority = Some("mail.example.com".to_owned());
        assert_eq!(understood(&bytes), Header { addresses, tls: *tls, authority, unsupported_family: None });
        if *sport != 0 && *dport != 0 {
            let mut line = Vec::new();
            ProxyHeader::with_address(sent).encode_v1(&mut line).unwrap();
            assert_eq!(understood(&line), Header { addresses, ..Header::default() });
        }
    });
}

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    (client, listener.accept().await.unwrap().0)
}

fn headers() -> [Vec<u8>; 3] {
    [
        b"PROXY TCP4 192.0.2.7 198.51.100.8 4444 143\r\n".to_vec(),
        v2(0x21, 0x11, IPV4),
        v2(0x20, 0x00, b"xxxx"),
    ]
}

#[tokio::test]
async fn bytes_behind_the_header_stay_in_the_socket() {
    for header in headers() {
        let (mut client, mut server) = connected().await;
        client.write_all(&[&header, b"\x16\x03\x01 PROXY \r\n".as_slice()].concat()).await.unwrap();
        drop(client);
        assert_eq!(read(&mut server).await.unwrap(), parse(&header).unwrap());
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\x16\x03\x01 PROXY \r\n");
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    for header in headers() {
        let (mut client, mut server) = connected().await;
        let sent = [&header, b"a NOOP\r\n".as_slice()].concat();
        let write = async {
            for byte in &sent {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let (found, ()) = tokio::join!(read(&mut server), write);
        assert_eq!(found.unwrap(), parse(&header).unwrap());
        let mut rest = String::new();
        server.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "a NOOP\r\n");
    }
}

#[tokio::test]
async fn an_end_in_the_header_is_reported() {
    let (mut client, mut server) = connected().await;
    client.write_all(b"PROXY TCP4 ").await.unwrap();
    drop(client);
    let refusal = read(&mut server).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Gone(_)));
    let line = refusal.line(Ipv4Addr::LOCALHOST.into());
    assert!(line.starts_with("haproxy: Client disconnected (rip=127.0.0.1): "), "{line}");
}
