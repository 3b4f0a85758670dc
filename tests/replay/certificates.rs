//! Throw-away certificates for both sides of a replay: those of the proxy's names, a client's, a backend's.

use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

use super::script::ClientTls;

/// Names that the proxy of the recordings had certificates for.
pub const PROXY_NAMES: [&str; 3] = ["proxy.example.com", "other.example.com", "selfsigned.example.com"];

/// A certificate and its key.
pub struct Made {
    pub certificate: CertificateDer<'static>,
    pub certificate_pem: String,
    pub key: Vec<u8>,
    pub key_pem: String,
}

impl Made {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone().into())
    }
}

/// All certificates of the test.
pub struct Certificates {
    pub authority: Made,
    /// As in [`PROXY_NAMES`].
    pub proxy: Vec<Made>,
    /// Signed by the authority, for `alice`.
    pub client: Made,
    /// The same, signed by itself.
    pub stranger: Made,
    signer: KeyPair,
    authority_params: CertificateParams,
}

/// Made once for all replays.
pub fn certificates() -> &'static Certificates {
    static MADE: OnceLock<Certificates> = OnceLock::new();
    MADE.get_or_init(Certificates::make)
}

impl Certificates {
    fn make() -> Self {
        let signer = KeyPair::generate().unwrap();
        let mut authority_params = params("authority", &[]);
        authority_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = authority_params.self_signed(&signer).unwrap();
        let authority = Made {
            certificate: certificate.der().clone(),
            certificate_pem: certificate.pem(),
            key: signer.serialize_der(),
            key_pem: signer.serialize_pem(),
        };
        let issuer = Issuer::from_params(&authority_params, &signer);
        let client = signed(params("alice", &[]), &issuer);
        let proxy = PROXY_NAMES.iter().map(|name| self_signed(params(name, &[*name]))).collect();
        let stranger = self_signed(params("alice", &[]));
        Self { authority, proxy, client, stranger, signer, authority_params }
    }

    /// TLS of a backend at these addresses. It asks for a certificate, but takes a client without one.
    pub fn server_config(&self, addresses: &[String]) -> Arc<ServerConfig> {
        let names: Vec<_> =
            ["backend.example.com"].into_iter().chain(addresses.iter().map(String::as_str)).collect();
        let issuer = Issuer::from_params(&self.authority_params, &self.signer);
        let made = signed(params("backend.example.com", &names), &issuer);
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate.clone()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![made.certificate.clone()], made.key())
            .unwrap();
        Arc::new(config)
    }

    /// TLS of a client, which checks nothing.
    pub fn client_config(&self, tls: &ClientTls) -> ClientConfig {
        let versions: &[&SupportedProtocolVersion] =
            if tls.version == "TLSv1.2" { &[&TLS12] } else { &[&TLS13] };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything));
        let own = match tls.certificate.as_deref() {
            Some("client") => &self.client,
            Some(_) => &self.stranger,
            None => return config.with_no_client_auth(),
        };
        config.with_client_auth_cert(vec![own.certificate.clone()], own.key()).unwrap()
    }

    /// Which of [`PROXY_NAMES`] a certificate belongs to.
    pub fn proxy_name(&self, certificate: &CertificateDer<'_>) -> Option<&'static str> {
        self.proxy.iter().position(|made| made.certificate == *certificate).map(|at| PROXY_NAMES[at])
    }
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn signed(params: CertificateParams, issuer: &Issuer<'_, &KeyPair>) -> Made {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    made(&certificate, &key)
}

fn self_signed(params: CertificateParams) -> Made {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    made(&certificate, &key)
}

fn made(certificate: &rcgen::Certificate, key: &KeyPair) -> Made {
    Made {
        certificate: certificate.der().clone(),
        certificate_pem: certificate.pem(),
        key: key.serialize_der(),
        key_pem: key.serialize_pem(),
    }
}

#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
