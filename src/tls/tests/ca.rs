//! A certificate authority that lives as long as one test.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

use crate::config::settings::{CertificateFiles, Pem, SslMode, TlsSettings, TlsVersion};

/// The authority.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A leaf certificate with its key, both PEM.
pub(crate) struct Leaf {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Test CA");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// With `name` as common name and as alternative name.
    pub(crate) fn issue(&self, name: &str) -> Leaf {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(&params)
    }

    pub(crate) fn sign(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        Leaf { cert: cert.pem(), key: key.serialize_pem() }
    }

    /// A CRL in PEM that revokes one serial number.
    pub(crate) fn revoke(&self, serial: u64) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4096, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

impl Leaf {
    pub(crate) fn inline(&self) -> CertificateFiles {
        CertificateFiles { cert: Pem::Inline(self.cert.clone()), key: Pem::Inline(self.key.clone()) }
    }
}

/// `ssl=yes` with one certificate.
pub(crate) fn settings(files: CertificateFiles) -> TlsSettings {
    TlsSettings {
        mode: SslMode::Yes,
        default: vec![files],
        by_name: Vec::new(),
        min_version: TlsVersion::V12,
        prefer_server_ciphers: false,
        verify_client: false,
        ca: None,
        require_crl: false,
        username_field: "commonName".to_owned(),
    }
}
