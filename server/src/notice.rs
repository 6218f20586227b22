//! What a page says about an act that was refused, and why a link from elsewhere cannot say it.
//!
//! A refused form leads back to its page with `?problem=CODE&message=TEXT`, and the page shows both. A
//! link that somebody else made up could show any words that way. So the two are sealed with the
//! reader's session, whose identifier only their browser and this server know, and a page that is asked
//! for with anything else is asked for again without it. Before sign-in there is no session; there only
//! the notices of the list below are shown.
//!
//! Rejected: keeping the text in the session, which would be shown in whichever tab asks next; a key of
//! the process, which a second server before the same database would not know.

use crate::local::local_path;
use crate::local::with_parameters;
use crate::oidc::Refused;
use crate::step_up;
use hmac::Hmac;
use hmac::Mac;
use http::Uri;
use sha2::Digest;
use sha2::Sha256;

/// What notices to the holder of one session are sealed with: derived from the cookie's text, which the database does not
/// have. Not printable.
#[derive(Clone, Copy)]
pub struct NoticeKey([u8; 32]);

impl NoticeKey {
    /// The key of the session with this cookie.
    pub fn of_token(token: &str) -> NoticeKey {
        let mut hasher = Sha256::new_with_prefix(b"switchback-notice");
        hasher.update(token.as_bytes());
        NoticeKey(hasher.finalize().into())
    }
}

impl std::fmt::Debug for NoticeKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("NoticeKey")
    }
}

/// The sign-in page's way to say that name or password is wrong: code and text.
pub const SIGN_IN_REFUSED: (&str, &str) = ("sign_in_refused", "The name or the password is wrong.");

/// What the pages of signing in may say to anybody.
fn is_for_anybody(problem: &str, message: &str) -> bool {
    let of_provider = |refused: &Refused| (refused.code(), refused.message()) == (problem, message);
    (problem, message) == SIGN_IN_REFUSED || Refused::ALL.iter().any(of_provider)
}

/// The page with the refusal, sealed for this session.
pub fn on_page(page: &str, session: NoticeKey, problem: &str, message: &str) -> String {
    let seal = hex::encode(mac(session, problem, message).finalize().into_bytes());
    with_parameters(
        page,
        &[("problem", problem), ("message", message), ("seal", &seal)],
    )
}

/// Where to ask for a page again whose notice this server did not write for this reader; `None` when
/// the page can be shown as it was asked for.
pub fn without_forged(uri: &Uri, session: Option<NoticeKey>) -> Option<String> {
    let query = uri.query()?;
    let (mut problems, mut messages, mut seals) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "problem" => problems.push(value),
            "message" => messages.push(value),
            "seal" => seals.push(value),
            _ => {}
        }
    }
    if problems.is_empty() && messages.is_empty() && seals.is_empty() {
        return None;
    }
    // Nothing twice: which one a page would show is not decided here.
    let is_ours = match (&*problems, &*messages, &*seals) {
        ([problem], [message], []) => {
            matches!(uri.path(), "/sign-in" | step_up::PAGE) && is_for_anybody(problem, message)
        }
        ([problem], [message], [seal]) => session.is_some_and(|session| {
            hex::decode(seal.as_bytes())
                .is_ok_and(|seal| mac(session, problem, message).verify_slice(&seal).is_ok())
        }),
        _ => false,
    };
    if is_ours {
        return None;
    }
    // A path such as //host would lead elsewhere.
    let asked = uri
        .path_and_query()
        .and_then(|path| local_path(path.as_str()))
        .unwrap_or("/");
    Some(with_parameters(asked, &[]))
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn mac(session: NoticeKey, problem: &str, message: &str) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&session.0).expect("HMAC takes keys of any length");
    mac.update(b"switchback-notice");
    // With its length, it is certain where the code ends and the text begins.
    mac.update(&(problem.len() as u64).to_be_bytes());
    mac.update(problem.as_bytes());
    mac.update(message.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: NoticeKey = NoticeKey([7; 32]);

    fn asked_again(path: &str, session: Option<NoticeKey>) -> Option<String> {
        without_forged(&path.parse().unwrap(), session)
    }

    #[test]
    fn what_was_sealed_for_a_reader_is_shown_to_that_reader_only() {
        let page = on_page(
            "/gates/gate-1?x=1",
            READER,
            "evidence_changed",
            "Evidence changed. Review again.",
        );
        assert_eq!(asked_again(&page, Some(READER)), None);
        for session in [Some(NoticeKey([8; 32])), None] {
            assert_eq!(
                asked_again(&page, session).as_deref(),
                Some("/gates/gate-1?x=1"),
                "{session:?}"
            );
        }
        for forged in [
            page.replace("Review", "Call"),
            page.replace("evidence_changed", "evidence_changed2"),
            page.replace("problem=", "problem=other&problem="),
            format!("{page}&message=Call+me."),
            format!("{page}&%6dessage=Call+me."),
            format!("{page}&seal=00"),
            page.replace("seal=", "seal=00"),
            page.replace("seal=", "x="),
        ] {
            let again = asked_again(&forged, Some(READER)).unwrap();
            assert!(
                !["problem", "essage", "seal"]
                    .iter()
                    .any(|name| again.contains(name)),
                "{forged}: {again}"
            );
            assert_eq!(asked_again(&again, Some(READER)), None, "{forged}");
        }
        // The boundary between code and text is sealed too.
        let page = on_page("/", READER, "a", "bc");
        let moved = page
            .replace("problem=a", "problem=ab")
            .replace("message=bc", "message=c");
        assert_ne!(page, moved);
        assert_eq!(asked_again(&moved, Some(READER)).as_deref(), Some("/"));
    }

    #[test]
    fn the_sign_in_page_says_only_what_is_listed() {
        let refused =
            "/sign-in?to=%2F&problem=sign_in_refused&message=The+name+or+the+password+is+wrong.";
        assert_eq!(asked_again(refused, None), None);
        for (forged, again) in [
            (
                "/sign-in?to=%2F&problem=sign_in_refused&message=Call+me.",
                "/sign-in?to=%2F",
            ),
            ("/sign-in?problem=sign_in_refused", "/sign-in"),
            ("/sign-in?problem=Call+me.", "/sign-in"),
            ("/sign-in?message=Call+me.", "/sign-in"),
            (&*refused.replace("/sign-in", "/"), "/?to=%2F"),
        ] {
            assert_eq!(
                asked_again(forged, None).as_deref(),
                Some(again),
                "{forged}"
            );
        }
    }

    #[test]
    fn what_is_asked_again_is_asked_here() {
        for elsewhere in ["//evil.example?problem=x", "//evil.example/a?message=x&b=c"] {
            let uri = Uri::builder().path_and_query(elsewhere).build().unwrap();
            assert_eq!(
                without_forged(&uri, Some(READER)).as_deref(),
                Some("/"),
                "{elsewhere}"
            );
        }
    }
}
