//! Revisions: the AppSpecs that an application knows, by the SHA-256 of their text.

use std::collections::BTreeSet;

use super::operations::{application_name, check_description, no_application, refuse};
use super::{CodeDeploy, Revision, appspec};
use crate::error::AwsError;
use crate::value::Value;
use crate::world::read::text;
use crate::world::region::Region;

impl Region {
    /// The SHA-256 of the revision a request means, its content having been registered with the application.
    pub(super) fn revision(
        &mut self,
        application: &str,
        revision: &Value,
        description: Option<String>,
    ) -> Result<String, AwsError> {
        let (sha256, content) = read_revision(revision)?;
        let now = self.now;
        let owner = self
            .codedeploy
            .applications
            .get_mut(application)
            .ok_or_else(|| no_application(application))?;
        match (owner.revisions.get_mut(&sha256), content) {
            (Some(known), _) => {
                if description.is_some() {
                    known.description = description;
                }
            }
            (None, Some(content)) => {
                let revision = Revision {
                    content,
                    description,
                    registered_at: now,
                    first_used: None,
                    last_used: None,
                    groups: BTreeSet::new(),
                };
                owner.revisions.insert(sha256.clone(), revision);
            }
            (None, None) => return Err(no_revision()),
        }
        Ok(sha256)
    }

    pub(super) fn revision_content(&self, application: &str, sha256: &str) -> Option<&str> {
        let application = self.codedeploy.applications.get(application)?;
        application
            .revisions
            .get(sha256)
            .map(|revision| revision.content.as_str())
    }

    pub(super) fn note_revision_used(&mut self, application: &str, sha256: &str, group: &str) {
        let now = self.now;
        let revision = self
            .codedeploy
            .applications
            .get_mut(application)
            .and_then(|application| application.revisions.get_mut(sha256));
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
        let (sha256, _) = read_revision(input.get("revision"))?;
        let revision = application.revisions.get(&sha256).ok_or_else(no_revision)?;
        Ok(structure! {
            "applicationName": name,
            "revision": CodeDeploy::revision_value(&sha256, Some(&revision.content)),
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
            let (sha256, _) = read_revision(one)?;
            match application.revisions.get(&sha256) {
                Some(revision) => found.push(structure! {
                    "revisionLocation": CodeDeploy::revision_value(&sha256, Some(&revision.content)),
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
        let mut found: Vec<(&String, &Revision)> = application
            .revisions
            .iter()
            .filter(|(sha256, _)| {
                let is_target = application
                    .groups
                    .values()
                    .any(|group| group.target_revision.as_ref() == Some(sha256));
                deployed == "ignore" || is_target == (deployed == "include")
            })
            .collect();
        found.sort_by_key(|(sha256, revision)| {
            let at = match sort_by {
                "firstUsedTime" => revision.first_used.unwrap_or_default(),
                "lastUsedTime" => revision.last_used.unwrap_or_default(),
                _ => revision.registered_at,
            };
            (at, (*sha256).clone())
        });
        if order == "descending" {
            found.reverse();
        }
        let names = found
            .into_iter()
            .map(|(sha256, _)| sha256.clone())
            .collect();
        let (page, next) = self.codedeploy_page(names, input)?;
        let revisions = page
            .as_list()
            .iter()
            .filter_map(|sha256| Some(CodeDeploy::revision_value(sha256.as_str()?, None)))
            .collect::<Vec<_>>();
        Ok(structure! { "revisions": revisions, "nextToken": next })
    }
}

fn no_revision() -> AwsError {
    refuse(
        "RevisionDoesNotExist",
        "The specified revision does not exist",
    )
}

/// The SHA-256 and, if given, the content of a revision in a request.
fn read_revision(revision: &Value) -> Result<(String, Option<String>), AwsError> {
    let invalid = |message: String| refuse("InvalidRevision", message);
    if revision.is_null() {
        return Err(refuse("RevisionRequired", "revision must be specified"));
    }
    match text(revision, "revisionType") {
        Some("AppSpecContent") => {}
        Some("S3") => {
            return Err(invalid(
                "Revisions in S3 are not simulated; send the AppSpec as AppSpecContent".to_string(),
            ));
        }
        Some(other) => {
            return Err(invalid(format!(
                "For the ECS compute platform the revision type must be S3 or AppSpecContent, not {other}"
            )));
        }
        None => return Err(invalid("revisionType must be specified".to_string())),
    }
    let spec = revision.get("appSpecContent");
    let given = text(spec, "sha256");
    match text(spec, "content") {
        Some(content) => {
            let sha256 = appspec::sha256(content);
            if given.is_some_and(|given| given != sha256) {
                return Err(invalid(
                    "The SHA256 of the AppSpec content does not match".to_string(),
                ));
            }
            Ok((sha256, Some(content.to_string())))
        }
        None => match given {
            Some(given) => Ok((given.to_string(), None)),
            None => Err(invalid(
                "appSpecContent must have content or sha256".to_string(),
            )),
        },
    }
}
