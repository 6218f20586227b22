//! Paths of our own that come back to us from forms and addresses: checked before anybody is sent there.

use http::HeaderMap;
use http::Uri;
use http::header;
use std::borrow::Cow;

/// The longest path that is taken back.
const LONGEST: usize = 2000;

/// The path, query and fragment if they lead nowhere but to this server; `None` otherwise.
///
/// `//host`, `/\host` and anything with control characters is taken by some browser as another host.
pub fn local_path(text: &str) -> Option<&str> {
    let ours = text.len() <= LONGEST
        && text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains('\\')
        && text.chars().all(|character| character.is_ascii_graphic());
    ours.then_some(text)
}

/// The path of the page from which the browser says it came, when it is ours.
pub fn referring_path(headers: &HeaderMap) -> Option<String> {
    let referer: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
    let host = headers.get(header::HOST)?.to_str().ok()?;
    if referer.authority()?.as_str() != host {
        return None;
    }
    local_path(referer.path_and_query()?.as_str()).map(str::to_string)
}

/// The path with these query parameters, instead of what an earlier answer put there.
pub fn with_parameters(path: &str, parameters: &[(&str, &str)]) -> String {
    const OURS: [&str; 5] = ["done", "operation", "problem", "message", "seal"];
    let (rest, fragment) = match path.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (path, None),
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let kept: Vec<(Cow<'_, str>, Cow<'_, str>)> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| !OURS.contains(&name.as_ref()))
        .collect();
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(kept);
    query.extend_pairs(parameters);
    let query = query.finish();
    let mut out = path.to_string();
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    if let Some(fragment) = fragment {
        out.push('#');
        out.push_str(fragment);
    }
    out
}

/// One segment of a path: anything that could end or leave the segment is percent-encoded.
pub fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_paths_are_taken_back() {
        for ours in [
            "/",
            "/gates/gate-1",
            "/history?outcome=failed&q=a%20b#row",
            "/@user",
            "/a//b",
            "/?u=http://x",
        ] {
            assert_eq!(local_path(ours), Some(ours), "{ours}");
        }
        let long = format!("/{}", "a".repeat(LONGEST));
        for foreign in [
            "",
            "gates",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\b",
            "http://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/\n/evil.example",
            " /a",
            "/a b",
            "/é",
            "/\u{0}",
            &long,
        ] {
            assert_eq!(local_path(foreign), None, "{foreign:?}");
        }
    }

    #[test]
    fn a_referring_page_counts_only_when_it_is_ours() {
        let path = |referer: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "desk.example:3000".parse().unwrap());
            headers.insert(header::REFERER, referer.parse().unwrap());
            referring_path(&headers)
        };
        assert_eq!(
            path("http://desk.example:3000/gates/gate-1?x=1"),
            Some("/gates/gate-1?x=1".to_string())
        );
        for foreign in [
            "http://evil.example/gates/1",
            "http://desk.example/gates/1",
            "http://desk.example:3000//evil",
            "nonsense",
        ] {
            assert_eq!(path(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn parameters_of_an_earlier_answer_do_not_pile_up() {
        assert_eq!(with_parameters("/a", &[]), "/a");
        assert_eq!(
            with_parameters("/a", &[("done", "decided")]),
            "/a?done=decided"
        );
        assert_eq!(
            with_parameters(
                "/a?to=x%3A1&problem=old&message=old&seal=old#form",
                &[("problem", "new"), ("message", "a&b")]
            ),
            "/a?to=x%3A1&problem=new&message=a%26b#form"
        );
    }

    #[test]
    fn a_segment_stays_one() {
        assert_eq!(segment("svc-0a1b"), "svc-0a1b");
        assert_eq!(segment("a/../b?c#d"), "a%2F%2E%2E%2Fb%3Fc%23d");
    }
}
