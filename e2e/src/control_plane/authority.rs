//! The certificate authority of one control plane, and the key that signs its service-account tokens.

use std::net::IpAddr;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

/// Signs the server's certificate and those of clients; trusted by nobody outside one control plane.
///
/// The server never shows the authority's own certificate as its own: rustls refuses that.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The authority's certificate, PEM.
    pub(super) certificate: String,
}

/// A certificate and its private key, PEM (X.509; PKCS#8).
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = named("lvs-operator-e2e", None);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(parameters, key), certificate })
    }

    /// A server certificate for these names and addresses (subject alternative names: the common name counts
    /// for nothing with today's clients).
    pub(super) fn server(&self, names: &[&str], addresses: &[IpAddr]) -> Result<Leaf> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = named("kube-apiserver", None);
        for name in names {
            parameters.subject_alt_names.push(SanType::DnsName((*name).try_into().context("a host name")?));
        }
        parameters.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        self.sign(parameters, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate: Kubernetes reads the user's name from the common name and the group from the
    /// organization.
    pub(super) fn client(&self, user: &str, group: Option<&str>) -> Result<Leaf> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = named(user, group);
        self.sign(parameters, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut parameters: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> Result<Leaf> {
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![purpose];
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?.pem();
        Ok(Leaf { certificate, key: key.serialize_pem() })
    }
}

/// The two halves, private and public, of a key for service-account tokens (ECDSA P-256: tokens are ES256),
/// PEM.
pub(super) fn service_account_key() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn named(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}
