//! Connections of mail clients: from which address, with which TLS. Certificates are not checked: a load test is for
//! one's own server, and often meets a certificate made for a trial.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs::{self, cipher_suite, kx_group},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use socket2::{Domain, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::TlsConnector;

use super::{LoadError, site::Site};

/// Bytes both ways, plain or TLS.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Tickets kept; a ticket is used once, so as many as logins can be under way.
const TICKETS_MAX: usize = 4096;

/// What all connections share. AES-128-GCM comes first, and so all servers that let the client choose do the same work.
pub(super) fn connector(resume: bool, post_quantum: bool) -> Result<TlsConnector, LoadError> {
    let mut provider = aws_lc_rs::default_provider();
    if !post_quantum {
        provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
    }
    let first = cipher_suite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != first.suite());
    let failed = |error: Error| LoadError::Setup(format!("TLS: {error}"));
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unchecked))
        .with_no_client_auth();
    config.resumption =
        if resume { Resumption::in_memory_sessions(TICKETS_MAX) } else { Resumption::disabled() };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A connection of the n-th session.
pub(super) async fn tcp(site: &Site, n: usize) -> std::io::Result<TcpStream> {
    let to = site.common.to;
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = site.source(n) {
        // The kernel chooses the port now, so each address has as many connections as there are ports.
        socket.bind(&source.into())?;
    }
    TcpSocket::from_std_stream(socket.into()).connect(to).await
}

/// TLS on it; true as second part if a session was resumed.
pub(super) async fn tls<S: ByteStream + 'static>(
    site: &Site,
    stream: S,
) -> std::io::Result<(Box<dyn ByteStream>, bool)> {
    let name = ServerName::IpAddress(site.common.to.ip().into());
    let stream = site.tls.connect(name, stream).await?;
    let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    Ok((Box::new(stream), resumed))
}

/// Takes any certificate and any signature, which also keeps the loader's own work small.
#[derive(Debug)]
struct Unchecked;

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
