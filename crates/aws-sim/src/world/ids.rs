//! Identifiers and page tokens.
//!
//! The forms are AWS's (\[M\] where the model states one, otherwise as seen in public output \[O\]); the
//! characters come from the region's seeded generator, so a run with the same seed and the same calls
//! has the same identifiers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

const URL_SAFE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn from_alphabet(rng: &mut ChaCha8Rng, alphabet: &[u8], length: usize) -> String {
    (0..length)
        .map(|_| alphabet[rng.random_range(0..alphabet.len())] as char)
        .collect()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(rng: &mut ChaCha8Rng, length: usize) -> String {
    from_alphabet(rng, b"0123456789abcdef", length)
}

/// Decimal digits, the first of them not zero.
pub(crate) fn digits(rng: &mut ChaCha8Rng, length: usize) -> String {
    let first = from_alphabet(rng, b"123456789", 1);
    first + &from_alphabet(rng, b"0123456789", length - 1)
}

/// `d-` and nine upper-case letters or digits.
pub(crate) fn deployment_id(rng: &mut ChaCha8Rng) -> String {
    format!(
        "d-{}",
        from_alphabet(rng, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 9)
    )
}

/// The last part of a service deployment's ARN: 21 letters, digits, `-` or `_` \[D\].
pub(crate) fn service_deployment_id(rng: &mut ChaCha8Rng) -> String {
    from_alphabet(rng, URL_SAFE, 21)
}

/// `ecs-pause-` or `ecs-lambda-` and 43 letters, digits, `-` or `_` \[D\].
pub(crate) fn hook_id(rng: &mut ChaCha8Rng, kind: &str) -> String {
    format!("ecs-{kind}-{}", from_alphabet(rng, URL_SAFE, 43))
}

/// Whether the text has the form of a deployment id.
pub(crate) fn is_deployment_id(text: &str) -> bool {
    text.strip_prefix("d-").is_some_and(|rest| {
        rest.len() == 9
            && rest
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    })
}

/// The version id of an object in S3 \[O\].
pub(crate) fn version_id(rng: &mut ChaCha8Rng) -> String {
    from_alphabet(
        rng,
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._",
        32,
    )
}

/// A version 4 UUID.
pub(crate) fn uuid(rng: &mut ChaCha8Rng) -> String {
    format!(
        "{}-{}-4{}-{}{}-{}",
        hex(rng, 8),
        hex(rng, 4),
        hex(rng, 3),
        from_alphabet(rng, b"89ab", 1),
        hex(rng, 3),
        hex(rng, 12)
    )
}

/// The opaque token CodeDeploy hands to a hook function: base64 of an encrypted blob.
pub(crate) fn hook_execution_id(rng: &mut ChaCha8Rng) -> String {
    let data = hex(rng, 64);
    let vector = hex(rng, 16);
    STANDARD.encode(format!(
        r#"{{"encryptedData":"{data}","ivParameterSpec":"{vector}","materialSetSerial":1}}"#
    ))
}

/// The token of the page that begins behind this item.
pub(crate) fn token_after(last: &str) -> String {
    STANDARD.encode(format!("after:{last}"))
}

/// The item that a token names; `None`: it is not one of ours.
pub(crate) fn read_token(token: &str) -> Option<String> {
    let bytes = STANDARD.decode(token).ok()?;
    let last = std::str::from_utf8(&bytes).ok()?.strip_prefix("after:")?;
    Some(last.to_string())
}

/// One page of `items` after `token`, and the next page's token. `None`: the token is not one of ours.
///
/// A token names the last item of its page rather than a position, so that a list whose newest entry
/// comes first neither repeats nor loses an item when something is added between two pages.
pub(crate) fn page<T, K: Fn(&T) -> &str>(
    items: Vec<T>,
    token: Option<&str>,
    size: usize,
    key: K,
) -> Option<(Vec<T>, Option<String>)> {
    let start = match token {
        None => 0,
        Some(token) => {
            let last = read_token(token)?;
            items.iter().position(|item| key(item) == last)? + 1
        }
    };
    let total = items.len();
    let size = size.max(1);
    let page: Vec<T> = items.into_iter().skip(start).take(size).collect();
    let next = match page.last() {
        Some(last) if start + page.len() < total => Some(token_after(key(last))),
        _ => None,
    };
    Some((page, next))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn forms() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            assert!(is_deployment_id(&deployment_id(&mut rng)));
        }
        assert_eq!(uuid(&mut rng).len(), 36);
        assert!(!is_deployment_id("d-abc"));
    }

    #[test]
    fn pages_hold_every_item_once_although_items_arrive_in_front() {
        let mut items: Vec<String> = (0..7).rev().map(|n| n.to_string()).collect();
        let (first, token) = page(items.clone(), None, 3, String::as_str).expect("first");
        assert_eq!(first, ["6", "5", "4"]);
        items.insert(0, "7".to_string());
        let (second, token) =
            page(items.clone(), token.as_deref(), 3, String::as_str).expect("second");
        assert_eq!(second, ["3", "2", "1"]);
        let (third, token) =
            page(items.clone(), token.as_deref(), 3, String::as_str).expect("third");
        assert_eq!(third, ["0"]);
        assert_eq!(token, None);
        assert!(page(items, Some("nonsense"), 3, String::as_str).is_none());
    }
}
