//! Which CodeDeploy operation is done where, and what they share: names, refusals, pages, tags.
//!
//! Exceptions: \[M\]. The texts of the refusals are our own.

use std::collections::BTreeMap;

use super::shapes;
use crate::error::AwsError;
use crate::value::Value;
use crate::world::ids;
use crate::world::read::{tags, tags_value, text, texts};
use crate::world::region::Region;

/// Items of a page; AWS's own is not documented \[K\].
pub(super) const LIST_PAGE: usize = 100;

pub(super) fn refuse(code: &str, message: impl Into<String>) -> AwsError {
    AwsError::caller(&format!("{code}Exception"), message)
}

/// A name by which something is found: 1 to 100 of the allowed characters.
pub(super) fn name<'a>(
    input: &'a Value,
    member: &str,
    missing: &str,
    invalid: &str,
) -> Result<&'a str, AwsError> {
    let given = text(input, member)
        .ok_or_else(|| refuse(missing, format!("{member} must be specified")))?;
    let proper = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if given.len() > 100 || !given.chars().all(proper) {
        return Err(refuse(
            invalid,
            format!("The {member} '{given}' is not valid"),
        ));
    }
    Ok(given)
}

pub(super) fn application_name(input: &Value) -> Result<&str, AwsError> {
    name(
        input,
        "applicationName",
        "ApplicationNameRequired",
        "InvalidApplicationName",
    )
}

pub(super) fn group_name<'a>(input: &'a Value, member: &str) -> Result<&'a str, AwsError> {
    name(
        input,
        member,
        "DeploymentGroupNameRequired",
        "InvalidDeploymentGroupName",
    )
}

pub(super) fn no_application(application: &str) -> AwsError {
    refuse(
        "ApplicationDoesNotExist",
        format!("No application found for name: {application}"),
    )
}

pub(super) fn no_group(group: &str) -> AwsError {
    refuse(
        "DeploymentGroupDoesNotExist",
        format!("No Deployment Group found for name: {group}"),
    )
}

pub(super) fn no_config(config: &str) -> AwsError {
    refuse(
        "DeploymentConfigDoesNotExist",
        format!("No Deployment Configuration found for name: {config}"),
    )
}

impl Region {
    /// One CodeDeploy operation.
    pub(crate) fn call_codedeploy(
        &mut self,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        shapes::check(operation, input)?;
        match operation {
            "CreateApplication" => self.create_application(input),
            "GetApplication" => {
                let name = application_name(input)?;
                Ok(structure! { "application": self.application_value(name)? })
            }
            "BatchGetApplications" => self.batch_get_applications(input),
            "ListApplications" => {
                let names = self.codedeploy.applications.keys().cloned().collect();
                let (names, next) = self.codedeploy_page(names, input)?;
                Ok(structure! { "applications": names, "nextToken": next })
            }
            "UpdateApplication" => self.update_application(input),
            "DeleteApplication" => self.delete_application(input),
            "CreateDeploymentGroup" => self.create_deployment_group(input),
            "UpdateDeploymentGroup" => self.update_deployment_group(input),
            "GetDeploymentGroup" => {
                let (application, group) = self.named_group(input)?;
                Ok(structure! { "deploymentGroupInfo": self.group_value(application, group) })
            }
            "BatchGetDeploymentGroups" => self.batch_get_deployment_groups(input),
            "ListDeploymentGroups" => {
                let name = application_name(input)?;
                let application = self.application(name)?;
                let groups = application.groups.keys().cloned().collect();
                let (groups, next) = self.codedeploy_page(groups, input)?;
                Ok(structure! {
                    "applicationName": name,
                    "deploymentGroups": groups,
                    "nextToken": next,
                })
            }
            "DeleteDeploymentGroup" => self.delete_deployment_group(input),
            "CreateDeploymentConfig" => self.create_deployment_config(input),
            "GetDeploymentConfig" => self.get_deployment_config(input),
            "ListDeploymentConfigs" => {
                let names = self.codedeploy.configs.keys().cloned().collect();
                let (names, next) = self.codedeploy_page(names, input)?;
                Ok(structure! { "deploymentConfigsList": names, "nextToken": next })
            }
            "DeleteDeploymentConfig" => self.delete_deployment_config(input),
            "RegisterApplicationRevision" => self.register_application_revision(input),
            "GetApplicationRevision" => self.get_application_revision(input),
            "BatchGetApplicationRevisions" => self.batch_get_application_revisions(input),
            "ListApplicationRevisions" => self.list_application_revisions(input),
            "TagResource" | "UntagResource" | "ListTagsForResource" => {
                self.codedeploy_tags(operation, input)
            }
            _ => self.call_deployments(operation, input),
        }
    }

    pub(super) fn codedeploy_page(
        &self,
        names: Vec<String>,
        input: &Value,
    ) -> Result<(Value, Option<String>), AwsError> {
        let size = self.page_limit.min(LIST_PAGE);
        let (page, next) = ids::page(names, text(input, "nextToken"), size, String::as_str)
            .ok_or_else(|| refuse("InvalidNextToken", "The next token is not valid"))?;
        Ok((
            Value::List(page.into_iter().map(Value::Text).collect()),
            next,
        ))
    }

    fn codedeploy_tags(&mut self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        let arn = text(input, "ResourceArn")
            .ok_or_else(|| refuse("ResourceArnRequired", "ResourceArn must be specified"))?;
        let prefix = self.arn("codedeploy", "");
        let resource = arn
            .strip_prefix(&prefix)
            .ok_or_else(|| refuse("InvalidArn", "The specified ARN is not in a valid format"))?;
        let own = if let Some(name) = resource.strip_prefix("application:") {
            self.codedeploy
                .applications
                .get_mut(name)
                .map(|application| &mut application.tags)
                .ok_or_else(|| no_application(name))?
        } else if let Some(path) = resource.strip_prefix("deploymentgroup:") {
            let (application, group) = path
                .split_once('/')
                .or_else(|| path.split_once(':'))
                .ok_or_else(|| {
                    refuse("InvalidArn", "The specified ARN is not in a valid format")
                })?;
            self.codedeploy
                .group_mut(application, group)
                .map(|group| &mut group.tags)
                .ok_or_else(|| no_group(group))?
        } else {
            return Err(refuse(
                "ArnNotSupported",
                "Tags are kept for applications and deployment groups only",
            ));
        };
        match operation {
            "TagResource" => {
                if input.get("Tags").as_list().is_empty() {
                    return Err(refuse("TagRequired", "Tags must be specified"));
                }
                *own = with_tags(own, input.get("Tags"))?;
            }
            "UntagResource" => {
                let keys = texts(input, "TagKeys");
                if keys.is_empty() {
                    return Err(refuse("TagRequired", "TagKeys must be specified"));
                }
                for key in keys {
                    own.remove(&key);
                }
            }
            _ => return Ok(structure! { "Tags": tags_value(own, "Key", "Value") }),
        }
        Ok(Value::map())
    }
}

/// The tags with `given` added to them, within AWS's limits: 50 tags, keys of 1 to 128 characters that do not
/// begin with `aws:`, values of up to 256 \[D\].
pub(super) fn with_tags(
    own: &BTreeMap<String, String>,
    given: &Value,
) -> Result<BTreeMap<String, String>, AwsError> {
    let added = tags(given);
    let lawful = |(key, value): (&String, &String)| {
        (1..=128).contains(&key.chars().count())
            && !key.to_ascii_lowercase().starts_with("aws:")
            && value.chars().count() <= 256
    };
    let mut all = own.clone();
    all.extend(added.clone());
    if added.len() != given.as_list().len() || !added.iter().all(lawful) || all.len() > 50 {
        return Err(refuse(
            "InvalidTagsToAdd",
            "The specified tags are not valid",
        ));
    }
    Ok(all)
}

pub(super) fn check_description(description: Option<&str>) -> Result<(), AwsError> {
    // The documented limit is 256; the texts of AWS's own action are cut at 512 \[O\], which AWS accepts.
    if description.is_some_and(|text| text.chars().count() > 512) {
        return Err(refuse("DescriptionTooLong", "The description is too long"));
    }
    Ok(())
}
