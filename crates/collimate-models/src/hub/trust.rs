//! Whose certificates are trusted: those that the system trusts, a company's own among them.
//!
//! Not those that a variable of the environment names, which is why the platform's verifier isn't
//! used everywhere: it reads such variables on Linux.

use ureq::tls::RootCerts;

#[cfg(any(windows, target_vendor = "apple"))]
pub(super) fn root_certificates() -> RootCerts {
    RootCerts::PlatformVerifier
}

/// From the system's file. Where there is none, as in small containers, what Mozilla trusted when
/// this was built.
#[cfg(not(any(windows, target_vendor = "apple")))]
pub(super) fn root_certificates() -> RootCerts {
    FILES.iter().find_map(|path| read(path.as_ref())).unwrap_or(RootCerts::WebPki)
}

/// Where systems keep all their certificates in one file.
#[cfg(not(any(windows, target_vendor = "apple")))]
const FILES: [&str; 6] = [
    // Debian, Ubuntu, Arch, Alpine, NixOS
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, Red Hat
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // SUSE
    "/etc/ssl/ca-bundle.pem",
    // BSD
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
];

#[cfg(not(any(windows, target_vendor = "apple")))]
fn read(path: &std::path::Path) -> Option<RootCerts> {
    use ureq::tls::PemItem;

    const MAX_BYTES: u64 = 16 << 20;
    let text = super::layout::read_small(path, MAX_BYTES).ok()?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    (!certificates.is_empty()).then(|| certificates.into())
}

#[cfg(all(test, not(any(windows, target_vendor = "apple"))))]
mod tests {
    use super::*;

    #[test]
    fn certificates_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.pem");
        assert!(read(&path).is_none());
        assert!(read(folder.path()).is_none());
        std::fs::write(&path, "# none\n").unwrap();
        assert!(read(&path).is_none());
        let one = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, format!("# two\n{one}# text\n{one}")).unwrap();
        match read(&path) {
            Some(RootCerts::Specific(found)) => assert_eq!(found.len(), 2),
            other => panic!("{other:?}"),
        }
    }
}
