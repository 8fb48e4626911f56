//! An issuer of certificates that lives as long as its test.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use service::tls::TlsConfig;

/// An issuer.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// What a certificate says; by default, what one of ours does.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) organisations: Vec<String>,
    pub(crate) usage: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) until: i32,
    pub(crate) serial: u64,
}

impl Wanted {
    /// A certificate for both ends, about one organisation.
    pub(crate) fn of(organisation: &str, serial: u64) -> Self {
        Self {
            name: organisation.to_owned(),
            organisations: vec![format!("urn:nhs:ods:{organisation}")],
            usage: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            until: 2100,
            serial,
        }
    }
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Ca {
    /// A new issuer, whose files are in `folder`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let ca = Self { issuer, folder: folder.join(name) };
        std::fs::create_dir(&ca.folder).unwrap();
        std::fs::write(ca.certificate(), ca.issuer.pem()).unwrap();
        ca.revoke(&[]);
        ca
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// What is configured for an identity that it has issued.
    pub(crate) fn tls(&self, identity: &Identity) -> TlsConfig {
        TlsConfig {
            certificate: identity.certificate.clone(),
            key: identity.key.clone(),
            client_ca: self.certificate(),
            server_ca: None,
            crls: vec![self.list()],
            reload_s: 1,
            connection_s: 240,
        }
    }

    /// Its list.
    pub(crate) fn list(&self) -> PathBuf {
        self.folder.join("crl.pem")
    }

    /// Writes its list anew.
    pub(crate) fn revoke(&self, serials: &[u64]) {
        self.revoke_until(2100, serials);
    }

    /// The same, with the year in which the list expires.
    pub(crate) fn revoke_until(&self, year: i32, serials: &[u64]) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2025, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        std::fs::write(self.list(), list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
    }

    /// Issues a certificate, for localhost too.
    pub(crate) fn issue(&self, wanted: &Wanted) -> Identity {
        let identity = Identity {
            certificate: self.folder.join(format!("{}.pem", wanted.serial)),
            key: self.folder.join(format!("{}.key", wanted.serial)),
        };
        self.issue_as(wanted, &identity);
        identity
    }

    /// The same, into these files.
    pub(crate) fn issue_as(&self, wanted: &Wanted, identity: &Identity) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, wanted.name.as_str());
        for name in &wanted.organisations {
            params.subject_alt_names.push(SanType::URI(name.as_str().try_into().unwrap()));
        }
        params.serial_number = Some(SerialNumber::from(wanted.serial));
        params.extended_key_usages.clone_from(&wanted.usage);
        params.not_after = date_time_ymd(wanted.until, 1, 1);
        params.not_before = date_time_ymd(2019, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(&identity.key, key.serialize_pem()).unwrap();
        std::fs::write(&identity.certificate, certificate.pem()).unwrap();
    }
}
