//! As much of Amazon S3 as a revision in a bucket needs: buckets, versions, objects, lists.
//!
//! * Shapes, headers, error codes: \[M\]; the texts of the refusals as S3 is known to give them \[K\].
//! * A bucket's name is taken in all accounts and regions at once, and a bucket answers only in its
//!   own region: \[D\].
//! * Not kept: access control, policies, encryption, storage classes, tags, locks, lifecycles,
//!   multipart uploads, copies. A request that asks for one of them is refused with `NotImplemented`
//!   by the door, never half done.

mod checksums;

use std::collections::{BTreeMap, BTreeSet};

pub use checksums::{ALGORITHMS, Algorithm, md5_base64, md5_hex};
use rand_chacha::ChaCha8Rng;

use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;

/// The most that a list answers at once \[D\].
const LIST_PAGE: usize = 1000;

/// One operation of S3 on a bucket, or on an object in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The bucket; empty for ListBuckets.
    pub bucket: String,
    /// The key; empty for the operations on buckets.
    pub key: String,
    /// What to do.
    pub operation: Operation,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// All buckets of the account.
    ListBuckets,
    /// With the `LocationConstraint` of the request.
    CreateBucket(Option<String>),
    /// Only when it is empty.
    DeleteBucket,
    /// Whether the bucket is there.
    HeadBucket,
    /// Its region.
    GetBucketLocation,
    /// `Enabled` or `Suspended`.
    PutBucketVersioning(String),
    /// Whether versions are kept.
    GetBucketVersioning,
    /// Stores an object.
    PutObject(Upload),
    /// The object, or one version of it.
    GetObject(Wanted),
    /// The same without the content.
    HeadObject(Wanted),
    /// The object, or one version of it.
    DeleteObject {
        /// `versionId`.
        version: Option<String>,
    },
    /// Keys, each with the version if one is meant, and whether only failures are answered.
    DeleteObjects {
        /// Key and version.
        objects: Vec<(String, Option<String>)>,
        /// Whether deletions are left out of the answer.
        quiet: bool,
    },
    /// Keys in their order.
    ListObjectsV2(Listing),
}

impl Operation {
    /// As AWS names it.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::ListBuckets => "ListBuckets",
            Operation::CreateBucket(_) => "CreateBucket",
            Operation::DeleteBucket => "DeleteBucket",
            Operation::HeadBucket => "HeadBucket",
            Operation::GetBucketLocation => "GetBucketLocation",
            Operation::PutBucketVersioning(_) => "PutBucketVersioning",
            Operation::GetBucketVersioning => "GetBucketVersioning",
            Operation::PutObject(_) => "PutObject",
            Operation::GetObject(_) => "GetObject",
            Operation::HeadObject(_) => "HeadObject",
            Operation::DeleteObject { .. } => "DeleteObject",
            Operation::DeleteObjects { .. } => "DeleteObjects",
            Operation::ListObjectsV2(_) => "ListObjectsV2",
        }
    }
}

/// An object on its way in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Upload {
    /// The content.
    pub content: Vec<u8>,
    /// `Content-Type`, `Cache-Control` and the like, and `x-amz-meta-…`, by header name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The checksum that the client chose; its value has been compared.
    pub checksum: Option<Algorithm>,
    /// `If-Match` and `If-None-Match`.
    pub conditions: Conditions,
}

/// First and last byte of a range; either may be open.
pub type ByteRange = (Option<u64>, Option<u64>);

/// An object that is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// `versionId`.
    pub version: Option<String>,
    /// `If-Match` and `If-None-Match`.
    pub conditions: Conditions,
    /// `Range: bytes=F-L`.
    pub range: Option<ByteRange>,
    /// Whether the checksum is answered.
    pub checksum: bool,
}

/// What must be so for the request to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// An ETag that the object must have, or `*`.
    pub matches: Option<String>,
    /// An ETag that it must not have, or `*`.
    pub matches_none: Option<String>,
}

/// What ListObjectsV2 is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Only keys that begin with it.
    pub prefix: String,
    /// Keys that have it behind the prefix are answered as their common beginning.
    pub delimiter: Option<String>,
    /// At most so many.
    pub max_keys: Option<i64>,
    /// Only keys behind this one.
    pub start_after: Option<String>,
    /// Where the page before ended.
    pub continuation_token: Option<String>,
    /// Whether keys are answered percent-encoded.
    pub url_encoded: bool,
    /// Whether the owner is answered.
    pub fetch_owner: bool,
}

/// What is answered when the request is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, without those that every answer has.
    pub headers: Vec<(String, String)>,
    /// The answer's body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// An XML document: the root's name and its members; a list stands for the member repeated.
    Document(&'static str, Value),
    /// The content of an object.
    Content(Vec<u8>),
    /// The answer to a HEAD: the length that the content would have.
    Length(usize),
}

/// A refusal, with the region that the bucket is in if that is the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Code, text, status.
    pub error: AwsError,
    /// Answered as `x-amz-bucket-region`.
    pub region: Option<String>,
}

impl From<AwsError> for Refusal {
    fn from(error: AwsError) -> Refusal {
        Refusal {
            error,
            region: None,
        }
    }
}

/// A refusal in S3's words.
pub fn refuse(status: u16, code: &str, message: impl Into<String>) -> AwsError {
    AwsError {
        status,
        ..AwsError::caller(code, message)
    }
}

fn answer(status: u16) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: Body::Empty,
    }
}

fn document(name: &'static str, value: Value) -> Answer {
    Answer {
        body: Body::Document(name, value),
        ..answer(200)
    }
}

/// The buckets of one account in one region.
#[derive(Default)]
pub(crate) struct S3 {
    buckets: BTreeMap<String, Bucket>,
}

struct Bucket {
    created_at: i64,
    /// `None` until versions were asked for the first time.
    versioning: Option<bool>,
    /// The versions of each key, oldest first, never empty.
    objects: BTreeMap<String, Vec<Version>>,
}

/// One version of an object, or the mark of its deletion.
struct Version {
    /// `null` where no versions were kept when it was stored.
    id: String,
    stored_at: i64,
    object: Option<Object>,
}

struct Object {
    content: Vec<u8>,
    etag: String,
    headers: BTreeMap<String, String>,
    checksum: (Algorithm, String),
}

impl Bucket {
    /// The version that is meant; without an id the newest.
    fn version(&self, key: &str, id: Option<&str>) -> Option<&Version> {
        let versions = self.objects.get(key)?;
        match id {
            None => versions.last(),
            Some(id) => versions.iter().find(|version| version.id == id),
        }
    }

    fn object(&self, key: &str) -> Option<&Object> {
        self.version(key, None)?.object.as_ref()
    }

    /// Adds a version; where none are kept it takes the place of the one called `null`.
    fn push(&mut self, key: &str, version: Version) {
        let versions = self.objects.entry(key.to_string()).or_default();
        if version.id == NULL_VERSION {
            versions.retain(|version| version.id != NULL_VERSION);
        }
        versions.push(version);
    }

    fn new_version_id(&self, rng: &mut ChaCha8Rng) -> String {
        if self.versioning == Some(true) {
            ids::version_id(rng)
        } else {
            NULL_VERSION.to_string()
        }
    }
}

const NULL_VERSION: &str = "null";

/// Whether this can be the name of a bucket \[D\].
fn is_bucket_name(name: &str) -> bool {
    let proper = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name.chars().all(proper)
        && edge(name.chars().next())
        && edge(name.chars().last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

fn no_bucket() -> AwsError {
    refuse(404, "NoSuchBucket", "The specified bucket does not exist")
}

fn no_key() -> AwsError {
    refuse(404, "NoSuchKey", "The specified key does not exist.")
}

fn precondition() -> AwsError {
    refuse(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    )
}

/// Whether an ETag is the given one, which may stand in quotes or be `*`.
fn etag_is(etag: &str, given: &str) -> bool {
    given == "*" || given.trim_matches('"') == etag
}

impl S3 {
    pub(crate) fn has(&self, bucket: &str) -> bool {
        self.buckets.contains_key(bucket)
    }

    /// Name and time of creation of every bucket.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, i64)> {
        self.buckets
            .iter()
            .map(|(name, bucket)| (name.as_str(), bucket.created_at))
    }

    /// The content and ETag of an object or of one version of it, as CodeDeploy reads a revision.
    pub(crate) fn read(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Option<(&[u8], &str)> {
        let object = self
            .buckets
            .get(bucket)?
            .version(key, version)?
            .object
            .as_ref()?;
        Some((&object.content, &object.etag))
    }

    /// CreateBucket, the name being free everywhere.
    pub(crate) fn create(
        &mut self,
        name: &str,
        location: Option<&str>,
        region: &str,
        now: i64,
    ) -> Result<Answer, AwsError> {
        if !is_bucket_name(name) {
            return Err(refuse(
                400,
                "InvalidBucketName",
                "The specified bucket is not valid.",
            ));
        }
        // us-east-1 is the region without a constraint, and every other one must be named \[D\].
        let fits = match location {
            None => region == "us-east-1",
            Some(location) => location == region && region != "us-east-1",
        };
        if !fits {
            let (code, message) = match location {
                None => (
                    "IllegalLocationConstraintException",
                    "The unspecified location constraint is incompatible for the region specific endpoint \
                     this request was sent to."
                        .to_string(),
                ),
                Some("us-east-1") => (
                    "InvalidLocationConstraint",
                    "The specified location-constraint is not valid".to_string(),
                ),
                Some(location) => (
                    "IllegalLocationConstraintException",
                    format!(
                        "The {location} location constraint is incompatible for the region specific endpoint \
                         this request was sent to."
                    ),
                ),
            };
            return Err(refuse(400, code, message));
        }
        let bucket = Bucket {
            created_at: now,
            versioning: None,
            objects: BTreeMap::new(),
        };
        self.buckets.insert(name.to_string(), bucket);
        Ok(Answer {
            headers: vec![("location".to_string(), format!("/{name}"))],
            ..answer(200)
        })
    }

    /// Every operation on a bucket that is there, or on what is in it.
    pub(crate) fn call(
        &mut self,
        request: &Request,
        region: &str,
        now: i64,
        rng: &mut ChaCha8Rng,
        page_limit: usize,
    ) -> Result<Answer, AwsError> {
        let name = request.bucket.as_str();
        let bucket = self.buckets.get_mut(name).ok_or_else(no_bucket)?;
        let key = request.key.as_str();
        match &request.operation {
            // Both concern more than this region and are done by the world.
            Operation::ListBuckets | Operation::CreateBucket(_) => Err(no_bucket()),
            Operation::DeleteBucket => {
                if !bucket.objects.is_empty() {
                    return Err(refuse(
                        409,
                        "BucketNotEmpty",
                        "The bucket you tried to delete is not empty",
                    ));
                }
                self.buckets.remove(name);
                Ok(answer(204))
            }
            Operation::HeadBucket => Ok(Answer {
                headers: vec![("x-amz-bucket-region".to_string(), region.to_string())],
                ..answer(200)
            }),
            Operation::GetBucketLocation => {
                let shown = (region != "us-east-1").then(|| region.to_string());
                Ok(document(
                    "LocationConstraint",
                    shown.map_or(Value::Null, Value::Text),
                ))
            }
            Operation::PutBucketVersioning(status) => {
                bucket.versioning = Some(match status.as_str() {
                    "Enabled" => true,
                    "Suspended" => false,
                    _ => {
                        return Err(refuse(
                            400,
                            "MalformedXML",
                            "The XML you provided was not well-formed or did not validate against our published schema",
                        ));
                    }
                });
                Ok(answer(200))
            }
            Operation::GetBucketVersioning => {
                let status = bucket
                    .versioning
                    .map(|kept| if kept { "Enabled" } else { "Suspended" });
                Ok(document(
                    "VersioningConfiguration",
                    structure! { "Status": status },
                ))
            }
            Operation::PutObject(upload) => bucket.put(key, upload, now, rng),
            Operation::GetObject(wanted) => bucket.get(key, wanted, true),
            Operation::HeadObject(wanted) => bucket.get(key, wanted, false),
            Operation::DeleteObject { version } => {
                let (version, mark) = bucket.delete(key, version.as_deref(), now, rng);
                let mut deleted = answer(204);
                if mark {
                    deleted
                        .headers
                        .push(("x-amz-delete-marker".to_string(), "true".to_string()));
                }
                deleted
                    .headers
                    .extend(version.map(|version| ("x-amz-version-id".to_string(), version)));
                Ok(deleted)
            }
            Operation::DeleteObjects { objects, quiet } => {
                let mut deleted = Vec::new();
                for (key, version) in objects {
                    let (made, mark) = bucket.delete(key, version.as_deref(), now, rng);
                    deleted.push(structure! {
                        "Key": key.as_str(),
                        "VersionId": version.clone(),
                        "DeleteMarker": mark.then_some(true),
                        "DeleteMarkerVersionId": mark.then_some(made).flatten(),
                    });
                }
                let shown = if *quiet { Vec::new() } else { deleted };
                Ok(document("DeleteResult", structure! { "Deleted": shown }))
            }
            Operation::ListObjectsV2(listing) => bucket.list(name, listing, page_limit),
        }
    }
}

impl Bucket {
    fn put(
        &mut self,
        key: &str,
        upload: &Upload,
        now: i64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Answer, AwsError> {
        if key.len() > 1024 {
            return Err(refuse(400, "KeyTooLongError", "Your key is too long"));
        }
        let present = self.object(key).map(|object| object.etag.as_str());
        let conditions = &upload.conditions;
        match (&conditions.matches, present) {
            (Some(_), None) => return Err(no_key()),
            (Some(given), Some(etag)) if !etag_is(etag, given) => return Err(precondition()),
            _ => {}
        }
        if let (Some(given), Some(etag)) = (&conditions.matches_none, present)
            && etag_is(etag, given)
        {
            return Err(precondition());
        }
        let algorithm = upload.checksum.unwrap_or(checksums::UNASKED);
        let object = Object {
            etag: md5_hex(&upload.content),
            checksum: (algorithm, algorithm.of(&upload.content)),
            headers: upload.headers.clone(),
            content: upload.content.clone(),
        };
        let id = self.new_version_id(rng);
        let mut stored = answer(200);
        stored.headers = object.shown_headers(true);
        if self.versioning == Some(true) {
            stored
                .headers
                .push(("x-amz-version-id".to_string(), id.clone()));
        }
        let version = Version {
            id,
            stored_at: now,
            object: Some(object),
        };
        self.push(key, version);
        Ok(stored)
    }

    fn get(&self, key: &str, wanted: &Wanted, with_content: bool) -> Result<Answer, AwsError> {
        let version = self
            .version(key, wanted.version.as_deref())
            .ok_or_else(|| match wanted.version {
                Some(_) => refuse(
                    404,
                    "NoSuchVersion",
                    "The specified version does not exist.",
                ),
                None => no_key(),
            })?;
        let Some(object) = &version.object else {
            // The mark of a deletion: absent, unless it is asked for by its own id \[D\].
            return Err(match wanted.version {
                Some(_) => refuse(
                    405,
                    "MethodNotAllowed",
                    "The specified method is not allowed against this resource.",
                ),
                None => no_key(),
            });
        };
        let conditions = &wanted.conditions;
        if conditions
            .matches
            .as_ref()
            .is_some_and(|given| !etag_is(&object.etag, given))
        {
            return Err(precondition());
        }
        if conditions
            .matches_none
            .as_ref()
            .is_some_and(|given| etag_is(&object.etag, given))
        {
            return Err(refuse(304, "NotModified", "Not Modified"));
        }
        let total = object.content.len();
        let mut found = answer(200);
        found.headers = object.shown_headers(wanted.checksum && wanted.range.is_none());
        found.headers.extend(
            object
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        if !object.headers.contains_key("content-type") {
            found.headers.push((
                "content-type".to_string(),
                "binary/octet-stream".to_string(),
            ));
        }
        found
            .headers
            .push(("accept-ranges".to_string(), "bytes".to_string()));
        found.headers.push((
            "last-modified".to_string(),
            // The door writes it as a date.
            version.stored_at.to_string(),
        ));
        if self.versioning.is_some() {
            found
                .headers
                .push(("x-amz-version-id".to_string(), version.id.clone()));
        }
        let (first, end) = match wanted.range {
            None => (0, total),
            Some(range) => {
                let (first, end) = part(range, total).ok_or_else(|| {
                    refuse(
                        416,
                        "InvalidRange",
                        "The requested range is not satisfiable",
                    )
                })?;
                found.status = 206;
                found.headers.push((
                    "content-range".to_string(),
                    format!("bytes {first}-{}/{total}", end - 1),
                ));
                (first, end)
            }
        };
        found.body = if with_content {
            Body::Content(object.content[first..end].to_vec())
        } else {
            Body::Length(end - first)
        };
        Ok(found)
    }

    /// The version that was deleted or made, and whether a mark of deletion was made or taken away.
    fn delete(
        &mut self,
        key: &str,
        version: Option<&str>,
        now: i64,
        rng: &mut ChaCha8Rng,
    ) -> (Option<String>, bool) {
        if let Some(id) = version {
            let mut mark = false;
            if let Some(versions) = self.objects.get_mut(key) {
                versions.retain(|version| {
                    let gone = version.id == id;
                    mark |= gone && version.object.is_none();
                    !gone
                });
                if versions.is_empty() {
                    self.objects.remove(key);
                }
            }
            return (Some(id.to_string()), mark);
        }
        if self.versioning.is_none() {
            self.objects.remove(key);
            return (None, false);
        }
        let id = self.new_version_id(rng);
        let mark = Version {
            id: id.clone(),
            stored_at: now,
            object: None,
        };
        self.push(key, mark);
        (Some(id), true)
    }

    fn list(&self, name: &str, listing: &Listing, page_limit: usize) -> Result<Answer, AwsError> {
        let most = match listing.max_keys {
            None => LIST_PAGE,
            Some(most) => usize::try_from(most)
                .map_err(|_| {
                    refuse(
                        400,
                        "InvalidArgument",
                        "Argument maxKeys must be an integer between 0 and 2147483647",
                    )
                })?
                .min(LIST_PAGE),
        };
        let page = most.min(page_limit);
        let after = match &listing.continuation_token {
            None => listing.start_after.clone(),
            Some(token) => Some(ids::read_token(token).ok_or_else(|| {
                refuse(
                    400,
                    "InvalidArgument",
                    "The continuation token provided is incorrect",
                )
            })?),
        };
        let shown = |text: &str| {
            if listing.url_encoded {
                percent_encoded(text)
            } else {
                text.to_string()
            }
        };
        let (mut contents, mut prefixes, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        let (mut last, mut truncated) = (String::new(), false);
        for (key, versions) in &self.objects {
            let Some(Version {
                stored_at,
                object: Some(object),
                ..
            }) = versions.last()
            else {
                continue;
            };
            let Some(rest) = key.strip_prefix(&listing.prefix) else {
                continue;
            };
            let common = listing
                .delimiter
                .as_deref()
                .filter(|delimiter| !delimiter.is_empty())
                .and_then(|delimiter| rest.find(delimiter).map(|at| at + delimiter.len()))
                .map(|end| &key[..listing.prefix.len() + end]);
            let place = common.unwrap_or(key);
            if after.as_deref().is_some_and(|after| place <= after) || seen.contains(place) {
                continue;
            }
            if contents.len() + prefixes.len() >= page {
                truncated = page > 0;
                break;
            }
            last = place.to_string();
            match common {
                Some(common) => {
                    seen.insert(common.to_string());
                    prefixes.push(structure! { "Prefix": shown(common) });
                }
                None => contents.push(structure! {
                    "Key": shown(key),
                    "LastModified": Value::Time(*stored_at),
                    "ETag": format!("\"{}\"", object.etag),
                    "ChecksumAlgorithm": object.checksum.0.name(),
                    "ChecksumType": "FULL_OBJECT",
                    "Size": object.content.len() as i64,
                    "StorageClass": "STANDARD",
                    "Owner": listing.fetch_owner.then(|| structure! { "ID": "simulated" }),
                }),
            }
        }
        let count = (contents.len() + prefixes.len()) as i64;
        Ok(document(
            "ListBucketResult",
            structure! {
                "Name": name,
                "Prefix": shown(&listing.prefix),
                "Delimiter": listing.delimiter.as_deref().map(shown),
                "StartAfter": listing.start_after.as_deref().map(shown),
                "ContinuationToken": listing.continuation_token.clone(),
                "NextContinuationToken": truncated.then(|| ids::token_after(&last)),
                "KeyCount": count,
                "MaxKeys": most as i64,
                "EncodingType": listing.url_encoded.then_some("url"),
                "IsTruncated": truncated,
                "Contents": contents,
                "CommonPrefixes": prefixes,
            },
        ))
    }
}

impl Object {
    fn shown_headers(&self, with_checksum: bool) -> Vec<(String, String)> {
        let mut headers = vec![
            ("etag".to_string(), format!("\"{}\"", self.etag)),
            // Every new object is encrypted since 2023 \[D\].
            (
                "x-amz-server-side-encryption".to_string(),
                "AES256".to_string(),
            ),
        ];
        if with_checksum {
            let (algorithm, value) = &self.checksum;
            headers.push((algorithm.header().to_string(), value.clone()));
            headers.push(("x-amz-checksum-type".to_string(), "FULL_OBJECT".to_string()));
        }
        headers
    }
}

/// First byte and end of a range within `total` bytes, `None` if it lies outside.
fn part(range: ByteRange, total: usize) -> Option<(usize, usize)> {
    let total_wide = u64::try_from(total).ok()?;
    let (first, end) = match range {
        (Some(first), Some(last)) if last >= first => (first, last.saturating_add(1)),
        (Some(first), None) => (first, total_wide),
        (None, Some(count)) if count > 0 => (total_wide.saturating_sub(count), total_wide),
        _ => return None,
    };
    let (first, end) = (first, end.min(total_wide));
    if first >= end {
        return None;
    }
    Some((usize::try_from(first).ok()?, usize::try_from(end).ok()?))
}

/// As `encoding-type=url` wants keys: everything but unreserved characters and the slash.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
