//! The certificate that the node makes itself, for a page on a LAN that has no name an authority would vouch for.

use std::net::IpAddr;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;

/// A certificate and its key, as PEM.
pub struct SelfSigned {
    /// For `cert_file`.
    pub cert_pem: String,
    /// For `key_file`.
    pub key_pem: String,
}

/// Makes one for these names and addresses, valid for a year from `now_s` (seconds since 1970), with the key of an earlier
/// one if there is such a key.
///
/// # Errors
/// The key is none, or a name can be in no certificate.
pub fn make_self_signed(
    common_name: &str,
    names: &[String],
    key_pem: Option<&str>,
    now_s: u64,
) -> Result<SelfSigned, rcgen::Error> {
    let key = match key_pem {
        Some(pem) => KeyPair::from_pem(pem)?,
        None => KeyPair::generate()?,
    };
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let since_1970 = |seconds| rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds);
    // Clocks differ: a browser's that is a little behind takes it too.
    params.not_before = since_1970(now_s.saturating_sub(DAY_S));
    params.not_after = since_1970(now_s + VALID_S);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok(SelfSigned { cert_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// Whether a certificate is for all these names and will last for another month.
pub fn is_still_good(cert_pem: &[u8], names: &[String], now_s: u64) -> bool {
    let Some(Ok(der)) = CertificateDer::pem_slice_iter(cert_pem).next() else { return false };
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(&der) else { return false };
    let validity = certificate.validity();
    let now_s = i64::try_from(now_s).unwrap_or(i64::MAX);
    let lasts = validity.not_before.timestamp() <= now_s
        && validity.not_after.timestamp() - now_s > i64::try_from(RENEW_S).unwrap_or(i64::MAX);
    let Ok(Some(carried)) = certificate.subject_alternative_name() else { return lasts && names.is_empty() };
    lasts && names.iter().all(|name| carried.value.general_names.iter().any(|carried| is_same(carried, name)))
}

fn is_same(carried: &GeneralName<'_>, name: &str) -> bool {
    match (carried, name.parse::<IpAddr>()) {
        (GeneralName::DNSName(dns), Err(_)) => dns.eq_ignore_ascii_case(name),
        (GeneralName::IPAddress(octets), Ok(IpAddr::V4(ip))) => *octets == ip.octets(),
        (GeneralName::IPAddress(octets), Ok(IpAddr::V6(ip))) => *octets == ip.octets(),
        _ => false,
    }
}

const DAY_S: u64 = 86_400;
/// Browsers distrust certificates that last much longer.
const VALID_S: u64 = 365 * DAY_S;
/// As long before its end another one is made.
const RENEW_S: u64 = 30 * DAY_S;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_anew_for_another_name_and_a_month_before_its_end() {
        let names = ["camera-x.local", "192.0.2.7", "fd00::7"].map(str::to_owned);
        let now = 1_800_000_000;
        let made = make_self_signed("x", &names, None, now).expect("made");
        let good = |names: &[String], now| is_still_good(made.cert_pem.as_bytes(), names, now);
        assert!(good(&names, now) && good(&names[..1], now) && good(&names, now + 334 * DAY_S));
        assert!(!good(&names, now + 336 * DAY_S), "a month before its end");
        assert!(!good(&names, now - 2 * DAY_S), "made while the clock was ahead");
        for other in ["camera-y.local", "192.0.2.8", "fd00::8"] {
            assert!(!good(&[other.to_owned()], now), "{other}");
        }
        assert!(!is_still_good(b"nothing", &[], now));
    }

    #[test]
    fn the_next_one_has_the_same_key() {
        let first = make_self_signed("x", &["a.local".to_owned()], None, 1_800_000_000).expect("made");
        let next = make_self_signed("x", &["b.local".to_owned()], Some(&first.key_pem), 1_800_000_000).expect("made");
        assert_eq!(first.key_pem, next.key_pem);
        assert_ne!(first.cert_pem, next.cert_pem);
        assert!(make_self_signed("x", &[], Some("no key"), 1_800_000_000).is_err());
    }
}
