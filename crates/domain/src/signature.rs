//! How hooks and events are signed: `Switchback-Signature: t=UNIX_SECONDS,v1=HEX`.
//!
//! HMAC-SHA256 over `t.BODY` with the shared secret. Five minutes of clock difference are allowed;
//! that each signature is used once is the store's to hold.

use crate::moment::Moment;
use hmac::Hmac;
use hmac::Mac;
use sha2::Sha256;

/// The header's name.
pub const HEADER: &str = "switchback-signature";

/// How far the signer's clock may be from ours, in either direction, in seconds.
pub const ALLOWED_CLOCK_DIFFERENCE_SECONDS: i64 = 300;

/// Why a signature was refused. The text says what to do and never repeats the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureRefused {
    /// The header is missing or not of the form `t=UNIX_SECONDS,v1=HEX`.
    #[error("The header Switchback-Signature must be t=UNIX_SECONDS,v1=HEX.")]
    Malformed,
    /// The time is more than five minutes away.
    #[error(
        "The signature's time is more than 5 minutes from the account's clock. Check the signer's clock."
    )]
    TooOld,
    /// The digest does not fit.
    #[error(
        "The signature does not fit the body. Check that both sides use the same relay secret."
    )]
    Wrong,
}

/// Signs `body` at `at`; gives the header's value.
pub fn sign(secret: &[u8], at: Moment, body: &[u8]) -> String {
    let seconds = at.millis().div_euclid(1000);
    format!(
        "t={seconds},v1={}",
        hex::encode(mac(secret, seconds, body).finalize().into_bytes())
    )
}

/// Checks a header's value against the body.
pub fn verify(
    secret: &[u8],
    now: Moment,
    header: &str,
    body: &[u8],
) -> Result<(), SignatureRefused> {
    let (mut seconds, mut digest) = (None, None);
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => seconds = value.parse::<i64>().ok(),
            Some(("v1", value)) => digest = hex::decode(value).ok(),
            _ => {}
        }
    }
    let (Some(seconds), Some(digest)) = (seconds, digest) else {
        return Err(SignatureRefused::Malformed);
    };
    // The digest is checked first, so that an unsigned request learns nothing about our clock.
    mac(secret, seconds, body)
        .verify_slice(&digest)
        .map_err(|_| SignatureRefused::Wrong)?;
    let difference = now.millis().div_euclid(1000).saturating_sub(seconds);
    if difference.saturating_abs() > ALLOWED_CLOCK_DIFFERENCE_SECONDS {
        return Err(SignatureRefused::TooOld);
    }
    Ok(())
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(secret: &[u8], seconds: i64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_millis(1_795_000_000_000);

    #[test]
    fn a_signature_holds_for_its_body_and_five_minutes() {
        let header = sign(b"secret", NOW, b"body");
        assert_eq!(verify(b"secret", NOW, &header, b"body"), Ok(()));
        assert_eq!(
            verify(b"secret", NOW.plus_seconds(300), &header, b"body"),
            Ok(())
        );
        assert_eq!(
            verify(b"secret", NOW.plus_seconds(-300), &header, b"body"),
            Ok(())
        );
        assert_eq!(
            verify(b"secret", NOW.plus_seconds(301), &header, b"body"),
            Err(SignatureRefused::TooOld)
        );
        assert_eq!(
            verify(b"secret", NOW.plus_seconds(-301), &header, b"body"),
            Err(SignatureRefused::TooOld)
        );
        assert_eq!(
            verify(b"secret", NOW, &header, b"other"),
            Err(SignatureRefused::Wrong)
        );
        assert_eq!(
            verify(b"other", NOW, &header, b"body"),
            Err(SignatureRefused::Wrong)
        );
        for malformed in ["", "t=1", "v1=00", "t=x,v1=00", "t=1,v1=zz", "t=1;v1=00"] {
            assert_eq!(
                verify(b"secret", NOW, malformed, b"body"),
                Err(SignatureRefused::Malformed),
                "{malformed}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(header in ".*", body in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            proptest::prop_assert!(verify(b"secret", NOW, &header, &body).is_err());
        }
    }
}
