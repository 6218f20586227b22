//! The site: the files that every browser loads, read once at start and served from memory.
//!
//! Pages name the files of `pkg` under a folder that is the digest of the whole site
//! (`/pkg/DIGEST/switchback.js`), which may be kept for ever; the plain names answer too and are asked
//! for again each time, cheaply, by their entity tag. Rejected: reading from disk with each request,
//! where a build that is under way is served half old, half new, and paths need guarding.

use crate::Deps;
use crate::problem::Problem;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::Uri;
use http::header;
use sha2::Digest;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

/// The icon, when the site has none of its own.
const FAVICON: &[u8] = include_bytes!("favicon.svg");

/// What a site must hold for the pages to work.
const NEEDED: [&str; 3] = [
    "pkg/switchback.js",
    "pkg/switchback_bg.wasm",
    "pkg/switchback.css",
];

/// The site cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A file or folder cannot be read.
    #[error("could not read {path}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// It is not a site.
    #[error("{folder} does not hold {file}; build the pages with `cargo xtask build`")]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        file: &'static str,
    },
}

#[derive(Clone)]
struct File {
    bytes: Bytes,
    brotli: Option<Bytes>,
    tag: HeaderValue,
    content_type: &'static str,
}

/// All files by their path, without a leading slash.
#[derive(Clone)]
pub struct Site {
    files: BTreeMap<String, File>,
    digest: String,
}

impl Site {
    /// A site of these files.
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Site {
        let mut whole = Sha256::new();
        let mut site = BTreeMap::new();
        for (path, bytes) in &files {
            whole.update((path.len() as u64).to_be_bytes());
            whole.update(path);
            let own = Sha256::digest(bytes);
            whole.update(own);
            if path.ends_with(".br") {
                continue;
            }
            let file = File {
                bytes: Bytes::copy_from_slice(bytes),
                brotli: files
                    .get(&format!("{path}.br"))
                    .map(|bytes| Bytes::copy_from_slice(bytes)),
                tag: tag(&own),
                content_type: content_type(path),
            };
            site.insert(path.clone(), file);
        }
        Site {
            files: site,
            digest: hex::encode(&whole.finalize()[..8]),
        }
    }

    /// The site in this folder, whole.
    pub fn load(folder: &Path) -> Result<Site, SiteError> {
        let mut files = BTreeMap::new();
        read_into(folder, folder, &mut files)?;
        if let Some(file) = NEEDED.into_iter().find(|file| !files.contains_key(*file)) {
            return Err(SiteError::Incomplete {
                folder: folder.to_path_buf(),
                file,
            });
        }
        Ok(Site::new(files))
    }

    /// The folder under which pages name the files of `pkg`, without a leading slash.
    pub fn package_folder(&self) -> String {
        format!("pkg/{}", self.digest)
    }

    /// The file at this path, or `None`.
    pub fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let named = path
            .strip_prefix("pkg/")
            .and_then(|rest| rest.split_once('/'))
            .filter(|(digest, _)| *digest == self.digest)
            .map(|(_, file)| format!("pkg/{file}"));
        let for_ever = named.is_some();
        let file = self.files.get(named.as_deref().unwrap_or(path))?;
        Some(file.answer(headers, for_ever))
    }
}

impl File {
    fn answer(&self, headers: &HeaderMap, for_ever: bool) -> Response {
        let kept = if for_ever {
            "public, max-age=31536000, immutable"
        } else {
            "public, no-cache"
        };
        let same = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|tag| tag.trim().trim_start_matches("W/").as_bytes() == self.tag.as_bytes());
        let mut response = Response::new(Body::empty());
        let answered = response.headers_mut();
        answered.insert(header::ETAG, self.tag.clone());
        answered.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
        answered.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if same {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        answered.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type),
        );
        let bytes = match &self.brotli {
            Some(brotli) if accepts_brotli(headers) => {
                answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
                brotli
            }
            _ => &self.bytes,
        };
        *response.body_mut() = Body::from(bytes.clone());
        response
    }
}

/// GET a file of the site.
pub async fn file(
    State(deps): State<Deps>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    deps.site
        .answer(uri.path(), &headers)
        .ok_or_else(|| Problem::no_such_path(uri.path()))
}

/// GET /favicon.svg and /favicon.ico
pub async fn favicon(State(deps): State<Deps>, uri: Uri, headers: HeaderMap) -> Response {
    let own = deps.site.answer(uri.path(), &headers);
    own.unwrap_or_else(|| {
        let head = [
            (header::CONTENT_TYPE, "image/svg+xml"),
            (header::CACHE_CONTROL, "public, max-age=86400"),
        ];
        (head, FAVICON).into_response()
    })
}

fn read_into(
    root: &Path,
    folder: &Path,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), SiteError> {
    let unreadable = |path: &Path| {
        let path = path.to_path_buf();
        move |source| SiteError::Unreadable { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.is_dir() {
            read_into(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            let name = name
                .to_string_lossy()
                .replace(std::path::MAIN_SEPARATOR, "/");
            files.insert(name, std::fs::read(&path).map_err(unreadable(&path))?);
        }
    }
    Ok(())
}

fn tag(digest: &[u8]) -> HeaderValue {
    let text = format!("\"{}\"", hex::encode(&digest[..16]));
    // Hex digits between quotes are a header value.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"\""))
}

fn accepts_brotli(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let refused = weight
                .trim()
                .strip_prefix("q=")
                .is_some_and(|weight| weight.parse() == Ok(0.0));
            name.trim().eq_ignore_ascii_case("br") && !refused
        })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("ico") => "image/x-icon",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site::new(BTreeMap::from([
            ("pkg/switchback.js".to_string(), b"plain".to_vec()),
            ("pkg/switchback.js.br".to_string(), b"small".to_vec()),
            ("fonts/inter.woff2".to_string(), b"font".to_vec()),
        ]))
    }

    async fn asked(
        path: &str,
        headers: &[(header::HeaderName, &str)],
    ) -> Option<(StatusCode, HeaderMap, Vec<u8>)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.clone(), value.parse().unwrap());
        }
        let (parts, body) = site().answer(path, &map)?.into_parts();
        let body = axum::body::to_bytes(body, 1000).await.unwrap().to_vec();
        Some((parts.status, parts.headers, body))
    }

    #[tokio::test]
    async fn a_file_is_compressed_for_whom_it_helps() {
        for (accepted, body, encoding) in [
            ("gzip, br", "small", Some("br")),
            ("br;q=0.5", "small", Some("br")),
            ("br;q=0", "plain", None),
            ("gzip", "plain", None),
            ("brotli", "plain", None),
        ] {
            let (_, headers, bytes) =
                asked("/pkg/switchback.js", &[(header::ACCEPT_ENCODING, accepted)])
                    .await
                    .unwrap();
            assert_eq!(bytes, body.as_bytes(), "{accepted}");
            assert_eq!(
                headers
                    .get(header::CONTENT_ENCODING)
                    .map(|value| value.to_str().unwrap()),
                encoding
            );
            assert_eq!(
                headers[header::CONTENT_TYPE],
                "text/javascript; charset=utf-8"
            );
        }
    }

    #[tokio::test]
    async fn names_with_the_digest_are_kept_for_ever_and_others_are_asked_for_again() {
        let plain = asked("/pkg/switchback.js", &[]).await.unwrap().1;
        assert_eq!(plain[header::CACHE_CONTROL], "public, no-cache");
        let path = format!("/{}/switchback.js", site().package_folder());
        let named = asked(&path, &[]).await.unwrap().1;
        assert_eq!(
            named[header::CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
        let tag = plain[header::ETAG].to_str().unwrap().to_string();
        let (status, _, body) = asked("/pkg/switchback.js", &[(header::IF_NONE_MATCH, &tag)])
            .await
            .unwrap();
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    }

    #[tokio::test]
    async fn there_is_nothing_else() {
        for path in [
            "/pkg/other.js",
            "/pkg/switchback.js.br",
            "/pkg/0000/switchback.js",
            "/pkg/../pkg/switchback.js",
            "/pkg/",
            "/pkg",
            "/fonts/%2e%2e/pkg/switchback.js",
            "//pkg/switchback.js",
        ] {
            assert!(asked(path, &[]).await.is_none(), "{path}");
        }
    }

    #[test]
    fn a_folder_that_is_no_site_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pkg")).unwrap();
        std::fs::write(folder.path().join("pkg/switchback.js"), "x").unwrap();
        let error = Site::load(folder.path()).err().unwrap().to_string();
        assert!(error.contains("pkg/switchback_bg.wasm"), "{error}");
        assert!(matches!(
            Site::load(Path::new("/nonexistent/site")),
            Err(SiteError::Unreadable { .. })
        ));
    }
}
