//! Revisions: the AppSpecs that an application knows, by where they are.
//!
//! * Shapes and exceptions: \[M\]. The refused bundle types: \[O\] (for Lambda, whose revisions are AppSpecs as
//!   well); that their names are taken in any case: \[O\].
//! * The text of an AppSpec in S3 is read when the deployment starts, and a missing or malformed one
//!   fails the deployment with `INVALID_REVISION`: \[O\]; the same holds for a revision of the old type `String`
//!   \[O\]. Our choice: content that comes inside the request as AppSpecContent is refused at once.
//! * Our choice: an ETag that does not match is an AppSpec that cannot be found.

use std::collections::BTreeSet;

use super::appspec::{self, AppSpec};
use super::operations::{LIST_PAGE, application_name, check_description, no_application, refuse};
use super::{Application, Revision};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::text;
use crate::world::region::Region;

/// Where a revision is, which is also its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Location {
    /// Inside the request that registered it; SHA-256.
    AppSpecContent(String),
    /// The same in the deprecated form; SHA-256.
    RawString(String),
    /// In a bucket.
    S3 {
        bucket: String,
        key: String,
        /// `YAML` or `JSON`.
        bundle_type: String,
        version: Option<String>,
        /// Without quotes.
        etag: Option<String>,
    },
}

impl Location {
    /// As AWS shows it: without content, except where a revision itself is asked for \[M\].
    pub(super) fn value(&self, content: Option<&str>) -> Value {
        match self {
            Location::AppSpecContent(sha256) => structure! {
                "revisionType": "AppSpecContent",
                "appSpecContent": structure! { "content": content, "sha256": sha256.as_str() },
            },
            Location::RawString(sha256) => structure! {
                "revisionType": "String",
                "string": structure! { "content": content, "sha256": sha256.as_str() },
            },
            Location::S3 {
                bucket,
                key,
                bundle_type,
                version,
                etag,
            } => structure! {
                "revisionType": "S3",
                "s3Location": structure! {
                    "bucket": bucket.as_str(),
                    "key": key.as_str(),
                    "bundleType": bundle_type.as_str(),
                    "version": version.clone(),
                    "eTag": etag.clone(),
                },
            },
        }
    }

    /// Whether this is the revision in S3 that `asked` means: a version or an ETag that is not given is any.
    fn is_meant_by(&self, asked: &Location) -> bool {
        let (
            Location::S3 {
                bucket,
                key,
                bundle_type,
                version,
                etag,
            },
            Location::S3 {
                bucket: asked_bucket,
                key: asked_key,
                bundle_type: asked_type,
                version: asked_version,
                etag: asked_etag,
            },
        ) = (self, asked)
        else {
            return false;
        };
        (bucket, key, bundle_type) == (asked_bucket, asked_key, asked_type)
            && (asked_version.is_none() || version == asked_version)
            && (asked_etag.is_none() || etag == asked_etag)
    }

    /// A text that no other revision of the application has, for pages.
    fn page_key(&self) -> String {
        format!("{self:?}")
    }
}

impl Application {
    /// The revision that a request means, the newest of them if there are several.
    fn find(&self, asked: &Location) -> Option<(&Location, &Revision)> {
        if !matches!(asked, Location::S3 { .. }) {
            return self.revisions.get_key_value(asked);
        }
        self.revisions
            .iter()
            .filter(|(known, _)| known.is_meant_by(asked))
            .max_by_key(|(_, revision)| revision.registered_at)
    }
}

impl Region {
    /// Where the revision is that a request means; it is registered with the application if it was not.
    pub(super) fn revision(
        &mut self,
        application: &str,
        revision: &Value,
        description: Option<String>,
    ) -> Result<Location, AwsError> {
        let (location, content) = read_revision(revision)?;
        let now = self.now;
        let owner = self
            .codedeploy
            .applications
            .get_mut(application)
            .ok_or_else(|| no_application(application))?;
        if let Some(known) = owner.revisions.get_mut(&location) {
            if description.is_some() {
                known.description = description;
            }
            return Ok(location);
        }
        if content.is_none() && !matches!(location, Location::S3 { .. }) {
            return Err(no_revision());
        }
        let revision = Revision {
            content,
            description,
            registered_at: now,
            first_used: None,
            last_used: None,
            groups: BTreeSet::new(),
        };
        owner.revisions.insert(location.clone(), revision);
        Ok(location)
    }

    /// The AppSpec of a revision, or the error that a deployment of it ends with.
    pub(super) fn app_spec(
        &self,
        application: &str,
        location: &Location,
    ) -> Result<AppSpec, (&'static str, String)> {
        let invalid = |message: String| ("INVALID_REVISION", message);
        let not_found = || {
            invalid(
                "The AppSpec file cannot be located in the specified S3 bucket. Verify your AppSpec file is \
                 present and that the name and key value pair specified for your S3 bucket are correct. The S3 \
                 bucket must be in your current region"
                    .to_string(),
            )
        };
        let content = match location {
            Location::S3 {
                bucket,
                key,
                version,
                etag,
                ..
            } => {
                let (content, _) = self
                    .s3
                    .read(bucket, key, version.as_deref())
                    .filter(|(_, found)| etag.as_deref().is_none_or(|etag| etag == *found))
                    .ok_or_else(not_found)?;
                String::from_utf8_lossy(content).into_owned()
            }
            _ => self
                .codedeploy
                .applications
                .get(application)
                .and_then(|application| application.revisions.get(location))
                .and_then(|revision| revision.content.clone())
                .ok_or_else(|| {
                    (
                        "REVISION_MISSING",
                        "The revision does not exist.".to_string(),
                    )
                })?,
        };
        appspec::parse(&content).map_err(|error| {
            invalid(format!(
                "The deployment failed because the AppSpec file that specifies the deployment configuration \
                 is missing or has an invalid configuration. {}",
                error.message
            ))
        })
    }

    pub(super) fn note_revision_used(&mut self, application: &str, used: &Location, group: &str) {
        let now = self.now;
        let revision = self
            .codedeploy
            .applications
            .get_mut(application)
            .and_then(|application| application.revisions.get_mut(used));
        if let Some(revision) = revision {
            revision.first_used.get_or_insert(now);
            revision.last_used = Some(now);
            revision.groups.insert(group.to_string());
        }
    }

    pub(super) fn register_application_revision(
        &mut self,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let application = application_name(input)?.to_string();
        self.application(&application)?;
        let description = text(input, "description").map(str::to_string);
        check_description(description.as_deref())?;
        self.revision(&application, input.get("revision"), description)?;
        Ok(Value::map())
    }

    fn revision_info(revision: &Revision) -> Value {
        let groups = revision
            .groups
            .iter()
            .map(|group| Value::from(group.as_str()))
            .collect();
        structure! {
            "description": revision.description.clone(),
            "deploymentGroups": Value::List(groups),
            "firstUsedTime": revision.first_used.map(Value::Time),
            "lastUsedTime": revision.last_used.map(Value::Time),
            "registerTime": Value::Time(revision.registered_at),
        }
    }

    pub(super) fn get_application_revision(&self, input: &Value) -> Result<Value, AwsError> {
        let name = application_name(input)?;
        let application = self.application(name)?;
        let (asked, _) = read_revision(input.get("revision"))?;
        let (location, revision) = application.find(&asked).ok_or_else(no_revision)?;
        Ok(structure! {
            "applicationName": name,
            "revision": location.value(revision.content.as_deref()),
            "revisionInfo": Region::revision_info(revision),
        })
    }

    pub(super) fn batch_get_application_revisions(&self, input: &Value) -> Result<Value, AwsError> {
        let name = application_name(input)?;
        let application = self.application(name)?;
        let asked = input.get("revisions").as_list();
        if asked.is_empty() {
            return Err(refuse("RevisionRequired", "revisions must be specified"));
        }
        if asked.len() > 25 {
            return Err(refuse(
                "BatchLimitExceeded",
                "At most 25 revisions can be asked for",
            ));
        }
        let (mut found, mut missing) = (Vec::new(), false);
        for one in asked {
            let (asked, _) = read_revision(one)?;
            match application.find(&asked) {
                Some((location, revision)) => found.push(structure! {
                    "revisionLocation": location.value(revision.content.as_deref()),
                    "genericRevisionInfo": Region::revision_info(revision),
                }),
                None => missing = true,
            }
        }
        Ok(structure! {
            "applicationName": name,
            "errorMessage": missing.then_some("One or more revisions do not exist"),
            "revisions": found,
        })
    }

    pub(super) fn list_application_revisions(&self, input: &Value) -> Result<Value, AwsError> {
        let application = self.application(application_name(input)?)?;
        let sort_by = text(input, "sortBy").unwrap_or("registerTime");
        if !["registerTime", "firstUsedTime", "lastUsedTime"].contains(&sort_by) {
            return Err(refuse(
                "InvalidSortBy",
                format!("'{sort_by}' cannot be sorted by"),
            ));
        }
        let order = text(input, "sortOrder").unwrap_or("ascending");
        if !["ascending", "descending"].contains(&order) {
            return Err(refuse(
                "InvalidSortOrder",
                format!("'{order}' is not a sort order"),
            ));
        }
        let deployed = text(input, "deployed").unwrap_or("ignore");
        if !["include", "exclude", "ignore"].contains(&deployed) {
            return Err(refuse(
                "InvalidDeployedStateFilter",
                format!("'{deployed}' is not a deployed state"),
            ));
        }
        let bucket = text(input, "s3Bucket");
        let prefix = text(input, "s3KeyPrefix");
        if bucket.is_none() && prefix.is_some() {
            return Err(refuse(
                "BucketNameFilterRequired",
                "s3KeyPrefix needs s3Bucket beside it",
            ));
        }
        let in_bucket = |location: &Location| match (bucket, location) {
            (None, _) => true,
            (Some(wanted), Location::S3 { bucket, key, .. }) => {
                wanted == bucket && prefix.is_none_or(|prefix| key.starts_with(prefix))
            }
            (Some(_), _) => false,
        };
        let mut found: Vec<(&Location, &Revision)> = application
            .revisions
            .iter()
            .filter(|(location, _)| {
                let is_target = application
                    .groups
                    .values()
                    .any(|group| group.target_revision.as_ref() == Some(location));
                in_bucket(location)
                    && (deployed == "ignore" || is_target == (deployed == "include"))
            })
            .collect();
        found.sort_by_key(|(location, revision)| {
            let at = match sort_by {
                "firstUsedTime" => revision.first_used.unwrap_or_default(),
                "lastUsedTime" => revision.last_used.unwrap_or_default(),
                _ => revision.registered_at,
            };
            (at, (*location).clone())
        });
        if order == "descending" {
            found.reverse();
        }
        let found: Vec<(String, Value)> = found
            .into_iter()
            .map(|(location, _)| (location.page_key(), location.value(None)))
            .collect();
        let size = self.page_limit.min(LIST_PAGE);
        let (page, next) = ids::page(found, text(input, "nextToken"), size, |(key, _)| key)
            .ok_or_else(|| refuse("InvalidNextToken", "The next token is not valid"))?;
        let revisions: Vec<Value> = page.into_iter().map(|(_, value)| value).collect();
        Ok(structure! { "revisions": revisions, "nextToken": next })
    }
}

fn no_revision() -> AwsError {
    refuse(
        "RevisionDoesNotExist",
        "The specified revision does not exist",
    )
}

/// Where the revision of a request is, and its content if that came with it.
pub(super) fn read_revision(revision: &Value) -> Result<(Location, Option<String>), AwsError> {
    let invalid = |message: String| refuse("InvalidRevision", message);
    if revision.is_null() {
        return Err(refuse(
            "RevisionRequired",
            "RevisionLocation must be specified",
        ));
    }
    let kind = text(revision, "revisionType")
        .ok_or_else(|| invalid("revisionType must be specified".to_string()))?;
    let kinds = [
        ("S3", "s3Location"),
        ("AppSpecContent", "appSpecContent"),
        ("String", "string"),
    ];
    let Some((_, member)) = kinds.into_iter().find(|(known, _)| *known == kind) else {
        return Err(invalid(format!(
            "For the ECS compute platform the revision type must be S3 or AppSpecContent, not {kind}"
        )));
    };
    if let Some((_, other)) = kinds
        .into_iter()
        .find(|(known, other)| *known != kind && !revision.get(other).is_null())
    {
        return Err(invalid(format!(
            "{other} does not belong to a revision of the type {kind}"
        )));
    }
    let given = revision.get(member);
    if kind == "S3" {
        return Ok((read_s3_location(given)?, None));
    }
    let name = |sha256: String| match kind {
        "String" => Location::RawString(sha256),
        _ => Location::AppSpecContent(sha256),
    };
    let sha256 = text(given, "sha256");
    match text(given, "content") {
        Some(content) => {
            let computed = appspec::sha256(content);
            if sha256.is_some_and(|sha256| sha256 != computed) {
                return Err(invalid(
                    "The SHA256 of the AppSpec content does not match".to_string(),
                ));
            }
            Ok((name(computed), Some(content.to_string())))
        }
        None => match sha256 {
            Some(sha256) => Ok((name(sha256.to_string()), None)),
            None => Err(invalid(format!("{member} must have content or sha256"))),
        },
    }
}

fn read_s3_location(given: &Value) -> Result<Location, AwsError> {
    let invalid = |message: &str| refuse("InvalidRevision", message);
    let needed = |member: &str| {
        text(given, member)
            .map(str::to_string)
            .ok_or_else(|| invalid(&format!("s3Location must have {member}")))
    };
    let bundle_type = needed("bundleType")?.to_ascii_uppercase();
    if !["YAML", "JSON"].contains(&bundle_type.as_str()) {
        return Err(invalid("BundleType must be either YAML or JSON"));
    }
    Ok(Location::S3 {
        bucket: needed("bucket")?,
        key: needed("key")?,
        bundle_type,
        version: text(given, "version").map(str::to_string),
        etag: text(given, "eTag").map(|etag| etag.trim_matches('"').to_string()),
    })
}
